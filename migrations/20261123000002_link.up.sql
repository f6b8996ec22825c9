-- The link to the edges: numbers for what happened, who is a member, and how an edge joins.

alter table outbox add column event uuid not null default gen_random_uuid();
comment on column outbox.event is 'tells this event from another one with the same number, in a database that was restored';

create table link_state (
    one boolean primary key default true
  , epoch bigint not null
  , seq bigint not null
  , event uuid not null
  , constraint link_state_one_row check (one)
);
comment on table link_state is 'the last numbered event; survives the pruning of the outbox';
comment on column link_state.epoch is 'raised whenever edges may know what this database does not: after a restore';

-- An owner who is no superuser would see no row.
alter table outbox no force row level security;
insert into link_state (epoch, seq, event)
select coalesce(max(epoch), 0) + 1, coalesce(max(seq), 0)
     , coalesce((select event from outbox where seq is not null order by seq desc limit 1), '00000000-0000-0000-0000-000000000000')
from outbox;
alter table outbox force row level security;

-- Numbers what was committed and answers the last number. Every statement in it sees what is committed by then, also what the
-- one before it in the lock has numbered; it writes nothing when there is nothing to number.
create function number_outbox() returns table (epoch bigint, seq bigint, event uuid)
    language plpgsql volatile
    set lock_timeout = '900ms'
    as $$
#variable_conflict use_column
declare
    head link_state;
    last_seq bigint;
    last_event uuid;
begin
    perform pg_advisory_xact_lock(4845873199050653511);
    select * into strict head from link_state;
    with waiting as (
        select id, row_number() over (order by id) as place from outbox where seq is null
    ), numbered as (
        update outbox o set seq = head.seq + w.place, epoch = head.epoch from waiting w where o.id = w.id returning o.seq, o.event
    )
    select seq, event into last_seq, last_event from numbered order by seq desc limit 1;
    if found then
        update link_state set seq = last_seq, event = last_event;
        return query select head.epoch, last_seq, last_event;
    else
        return query select head.epoch, head.seq, head.event;
    end if;
end $$;

-- Raises the epoch above `known`, unless somebody has raised it since it was `seen`.
create function raise_epoch(known bigint, seen bigint) returns void
    language plpgsql volatile
    set lock_timeout = '900ms'
    as $$
begin
    perform pg_advisory_xact_lock(4845873199050653511);
    update link_state set epoch = greatest(epoch, known) + 1 where epoch = seen;
end $$;

create function outbox_written() returns trigger
    language plpgsql
    as $$
begin
    perform pg_notify('cargoman_outbox', '');
    return null;
end $$;
create trigger outbox_written after insert on outbox for each statement execute function outbox_written();

alter table tenant add column outage_changed bigint;
comment on column tenant.outage_changed is 'row of the outbox that told edges of the present choice for outages; never pruned';

create table edge_join_token (
    id uuid primary key
  , name text
  , digest text not null
  , last_four text not null
  , created_at timestamptz not null default now()
  , expires_at timestamptz not null
  , used_at timestamptz
  , constraint edge_join_token_digest_taken unique (digest)
);
comment on column edge_join_token.name is 'of the edge that joins with it; null: it says its name itself';

create table edge (
    id uuid primary key
  , name text not null
  , digest text
  , last_four text
  , created_at timestamptz not null default now()
  , fenced_at timestamptz
  , constraint edge_digest_taken unique (digest)
);
create unique index edge_name_taken on edge (name) where fenced_at is null;
comment on table edge is 'edges with a credential of their own; and those fenced that had none, by the id of their state folder';

create table edge_member (
    incarnation uuid primary key
  , state uuid not null
  , edge_id uuid references edge (id) on delete cascade
  , name text not null
  , software text not null
  , control_plane uuid not null
  , epoch bigint not null default 0
  , acked_seq bigint not null default 0
  , lease_ms bigint not null
  , lease_ends_at timestamptz not null default now()
  , stale_until timestamptz not null default now()
  , connected boolean not null default true
  , joined_at timestamptz not null default now()
  , constraint edge_member_state_taken unique (state)
);
comment on table edge_member is 'edges that may be answering';
comment on column edge_member.epoch is 'of acked_seq; 0 while nothing is acked';
comment on column edge_member.lease_ends_at is 'no lease that left ends later; noted before it leaves';
comment on column edge_member.stale_until is 'until when it may go on without a lease, for tenants who want that';

-- What belongs to no tenant is the system's alone.
do $$
declare name text;
begin
    foreach name in array array['link_state', 'edge_join_token', 'edge', 'edge_member'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy of_system on %I to cargoman_system using (true) with check (true)', name);
    end loop;
end $$;
grant select, update on link_state to cargoman_system;
grant select, insert, update, delete on edge_join_token, edge, edge_member to cargoman_system;
revoke execute on function number_outbox(), raise_epoch(bigint, bigint) from public;
grant execute on function number_outbox(), raise_epoch(bigint, bigint) to cargoman_system;
