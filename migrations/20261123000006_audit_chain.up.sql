-- The audit trail of each tenant is a chain: an entry's hash covers the one before it, so that nobody changes, removes or puts in
-- an entry unnoticed. Entries get their places after their commit, as events get their numbers: no gaps, and no write waits for it.

alter table audit add column seq bigint, add column hash bytea;
alter table audit add constraint audit_chained_whole check ((seq is null) = (hash is null));
comment on column audit.seq is 'place in the tenant''s chain, from 1; given after commit';
create index audit_unchained on audit (id) where hash is null;
create unique index audit_chained on audit (tenant_id, seq) where seq is not null;

create table audit_head (
    tenant_id uuid primary key references tenant (id) on delete cascade
  , seq bigint not null
  , hash bytea not null
);
comment on table audit_head is 'the end of each tenant''s chain: entries that are cut off there are missed too';
alter table audit_head enable row level security;
alter table audit_head force row level security;
create policy of_tenant on audit_head to cargoman_app using (tenant_id = current_tenant()) with check (tenant_id = current_tenant());
create policy of_system on audit_head to cargoman_system using (true) with check (true);
grant select on audit_head to cargoman_app;
grant select, insert, update on audit_head to cargoman_system;
grant update (seq, hash) on audit to cargoman_system;

-- What an entry's hash covers: the hash before it (32 zero bytes at the first one) and a JSON array of everything it says.
create function audit_hash(before bytea, place bigint, entry audit) returns bytea
    language sql stable
    as $$
    select sha256(before || convert_to(json_build_array(
        place, entry.id, entry.tenant_id, entry.actor, entry.action, entry.subject, entry.detail::text
      , to_char(entry.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text, 'UTF8'))
$$;

create function audit_stays() returns trigger
    language plpgsql
    as $$
begin
    raise exception 'an entry of the audit trail that has its place is never changed';
end $$;
create trigger audit_stays before update on audit for each row when (old.hash is not null) execute function audit_stays();

-- Gives up to `most` committed entries their places; how many. Whoever comes while another is at it has nothing to do.
create function chain_audit(most integer) returns bigint
    language plpgsql volatile
    as $$
declare
    entry audit;
    head audit_head;
    done bigint := 0;
begin
    if not pg_try_advisory_xact_lock(4845873199050653512) then
        return 0;
    end if;
    for entry in select * from audit where hash is null order by id limit most loop
        select * into head from audit_head h where h.tenant_id = entry.tenant_id;
        head.seq := coalesce(head.seq, 0) + 1;
        head.hash := audit_hash(coalesce(head.hash, decode(repeat('00', 32), 'hex')), head.seq, entry);
        update audit set seq = head.seq, hash = head.hash where id = entry.id;
        insert into audit_head values (entry.tenant_id, head.seq, head.hash)
        on conflict (tenant_id) do update set seq = excluded.seq, hash = excluded.hash;
        done := done + 1;
    end loop;
    return done;
end $$;
revoke all on function chain_audit(integer) from public;
grant execute on function chain_audit(integer) to cargoman_system;

-- Reads the whole chain of one tenant: how many entries hold, and at which place the first one does not.
create function verify_audit(of_tenant uuid) returns table (entries bigint, broken_at bigint)
    language plpgsql stable
    as $$
declare
    entry audit;
    head audit_head;
    before bytea := decode(repeat('00', 32), 'hex');
    place bigint := 0;
begin
    for entry in select * from audit a where a.tenant_id = of_tenant and a.seq is not null order by a.seq loop
        if entry.seq <> place + 1 or entry.hash <> audit_hash(before, entry.seq, entry) then
            return query select place, place + 1;
            return;
        end if;
        place := entry.seq;
        before := entry.hash;
    end loop;
    select * into head from audit_head h where h.tenant_id = of_tenant;
    if found and (head.seq <> place or head.hash <> before) or not found and place > 0 then
        return query select place, place + 1;
    else
        return query select place, null::bigint;
    end if;
end $$;
revoke all on function verify_audit(uuid) from public;
grant execute on function verify_audit(uuid) to cargoman_app;
