-- By which a forge's delivery finds its packages, and by which another repository behind the same address is noticed.
alter table package
    add column repository_key text
  , add column remote_id text
  , add column frozen_reason text;
comment on column package.repository_key is 'host and path of repository_url in their one form';
comment on column package.remote_id is 'the forge''s own name for the repository, as it told us first';
comment on column package.frozen_reason is 'why it is not read any more until an operator says that it may; null when it is read';
update package set repository_key = lower(regexp_replace(regexp_replace(repository_url, '^[a-z+]+://([^@/]*@)?', ''), '(\.git)?/*$', ''))
where repository_url ~ '^(https?|ssh)://';
create index package_repository on package (tenant_id, repository_key) where repository_key is not null;

create table hook (
    tenant_id uuid not null references tenant (id) on delete cascade
  , id uuid not null
  , provider text not null
  , scheme text not null
  , name text not null
  , secret bytea not null
  , created_at timestamptz not null default now()
  , rotated_at timestamptz
  , delivered_at timestamptz
  , refused_at timestamptz
  , refused_reason text
  , primary key (tenant_id, id)
  , constraint hook_provider_known check (provider in ('github', 'gitlab', 'bitbucket', 'gitea', 'packagist'))
  , constraint hook_scheme_known check (scheme in ('own', 'standard'))
);
comment on column hook.secret is 'sealed: it is needed in plain to check signatures';

create table webhook_delivery (
    tenant_id uuid not null
  , id uuid not null
  , hook_id uuid
  , source text not null
  , delivery_key text
  , event text not null
  , hint json not null
  , outcome text not null
  , reason text
  , packages text[] not null default '{}'
  , tasks uuid[] not null default '{}'
  , replay_of uuid
  , received_at timestamptz not null default now()
  , primary key (tenant_id, id)
  , constraint delivery_of_tenant foreign key (tenant_id) references tenant (id) on delete cascade
  , constraint delivery_of_hook foreign key (tenant_id, hook_id) references hook (tenant_id, id) on delete cascade
);
create unique index webhook_delivery_once on webhook_delivery (tenant_id, source, delivery_key) where delivery_key is not null;
create index webhook_delivery_hook on webhook_delivery (tenant_id, hook_id, received_at);
create index webhook_delivery_received on webhook_delivery (received_at);
comment on column webhook_delivery.source is 'the hook, or what else was asked: names of deliveries are unique in it alone';
comment on column webhook_delivery.hint is 'what the delivery said, as far as it is of interest: enough to do it again';

do $$
declare name text;
begin
    foreach name in array array['hook', 'webhook_delivery'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy of_tenant on %I to cargoman_app using (tenant_id = current_tenant()) with check (tenant_id = current_tenant())', name);
        execute format('create policy of_system on %I to cargoman_system using (true) with check (true)', name);
        execute format('grant select, insert, update, delete on %I to cargoman_app, cargoman_system', name);
    end loop;
end $$;
