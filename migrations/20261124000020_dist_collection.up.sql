-- What may be taken away from the storage, and when.

alter table dist add column unneeded_since timestamptz;
comment on column dist.unneeded_since is 'when it was found that no version needs it any more';

alter table tenant add column dist_redirects_ended_at timestamptz;
comment on column tenant.dist_redirects_ended_at is 'when customers were last no longer sent to the storage itself: what they were given before is good for a while';

create table dist_coming (
    tenant_id uuid not null references tenant (id) on delete cascade
  , sha256 text not null
  , announced_at timestamptz not null default now()
  , primary key (tenant_id, sha256)
);
comment on table dist_coming is 'whoever is about to store a dist says so first: for 24 hours nobody takes its bytes away';
alter table dist_coming enable row level security;
alter table dist_coming force row level security;
create policy of_tenant on dist_coming to cargoman_app using (tenant_id = current_tenant()) with check (tenant_id = current_tenant());
create policy of_system on dist_coming to cargoman_system using (true) with check (true);
grant select, insert, update, delete on dist_coming to cargoman_app, cargoman_system;

-- Whether a dist must stay: a version shows it, a deleted package that may come back does, or somebody is about to write it.
create function dist_is_needed(of_tenant uuid, digest text) returns boolean
    language sql stable
    as $$
    select exists (select from version_reference r where r.tenant_id = of_tenant and r.dist_sha256 = digest)
        or exists (select from dist_coming c
                   where c.tenant_id = of_tenant and c.sha256 = digest and c.announced_at > now() - interval '24 hours')
        or exists (select from deletion x, json_array_elements(x.content->'version_reference') r
                   where x.tenant_id = of_tenant and x.kind = 'package' and r->>'dist_sha256' = digest)
$$;

-- Held by whoever announces a dist, and by whoever takes one away.
create function lock_dist(of_tenant uuid, digest text) returns void
    language sql volatile
    as $$ select pg_advisory_xact_lock(hashtextextended(of_tenant::text || digest, 20261124)) $$;

create table dist_collection (
    one boolean primary key default true
  , begun_at timestamptz not null default '-infinity'
  , constraint dist_collection_one_row check (one)
);
comment on table dist_collection is 'when the storage was last gone through: one of several control planes does it, now and then';
insert into dist_collection default values;
alter table dist_collection enable row level security;
alter table dist_collection force row level security;
create policy of_system on dist_collection to cargoman_system using (true) with check (true);
grant select, update on dist_collection to cargoman_system;
