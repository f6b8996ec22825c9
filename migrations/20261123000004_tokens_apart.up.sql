-- A change of one token is told to edges and readers as that token's, no longer as one of its whole customer, whose other tokens
-- would be read again.
alter table token add column revision bigint not null default 0;
alter table token alter column revision set default nextval('revision');
comment on column token.revision is 'grows with each change of what the token may do; with its customer''s it makes that of its access';

-- Numbers are given once more at most after a crash of the database that forgets them, and edges then notice: no need to wait for
-- the disk a second time. Whoever numbers tells all up to where, so that the others only read. Dead rows of the index of what waits
-- are cleared by a plain index scan, not by one over a bitmap; between two vacuums there are thousands of them.
create or replace function number_outbox() returns table (epoch bigint, seq bigint, event uuid)
    language plpgsql volatile
    set lock_timeout = '900ms'
    set enable_bitmapscan = off
    set enable_seqscan = off
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
        perform set_config('synchronous_commit', 'off', true);
        update link_state set seq = last_seq, event = last_event;
        perform pg_notify('cargoman_numbered', json_build_object('epoch', head.epoch, 'seq', last_seq, 'event', last_event)::text);
        return query select head.epoch, last_seq, last_event;
    else
        return query select head.epoch, head.seq, head.event;
    end if;
end $$;
