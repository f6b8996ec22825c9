-- What edges served: each download once, and what is counted of it.

create table usage_batch (
    tenant_id uuid not null references tenant (id) on delete cascade
  , id uuid not null
  , at timestamptz not null default now()
  , primary key (tenant_id, id)
);
create index usage_batch_age on usage_batch (at);
comment on table usage_batch is 'batches of edges that are counted, for 30 days: one that comes again counts for nothing';

create table download (
    tenant_id uuid not null references tenant (id) on delete cascade
  , id uuid not null
  , customer_id uuid not null
  , token_id uuid not null
  , package_name text not null
  , normalized text not null
  , reference text not null
  , bytes bigint not null
  , at timestamptz not null
  , address inet
  , user_agent text not null
  , primary key (tenant_id, id)
);
create index download_age on download (at);
create index download_customer on download (tenant_id, customer_id, at);
comment on table download is 'every dist that was served, for 90 days; outlives customers and packages, which may be restored';

create table download_count (
    tenant_id uuid not null references tenant (id) on delete cascade
  , package_name text not null
  , normalized text not null
  , day date not null
  , downloads bigint not null
  , bytes bigint not null
  , primary key (tenant_id, package_name, normalized, day)
);

create table traffic (
    tenant_id uuid not null references tenant (id) on delete cascade
  , day date not null
  , customer_id uuid not null
  , downloads bigint not null
  , bytes bigint not null
  , primary key (tenant_id, day, customer_id)
);
comment on table traffic is 'the same downloads by customer: what metering adds up';

alter table token add column last_used_ip inet;

do $$
declare name text;
begin
    foreach name in array array['usage_batch', 'download', 'download_count', 'traffic'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy of_tenant on %I to cargoman_app using (tenant_id = current_tenant()) with check (tenant_id = current_tenant())', name);
        execute format('create policy of_system on %I to cargoman_system using (true) with check (true)', name);
        execute format('grant select, insert, update, delete on %I to cargoman_app, cargoman_system', name);
    end loop;
end $$;
