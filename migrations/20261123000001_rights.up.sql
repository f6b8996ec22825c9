-- What licences are made of beside grants on packages: collections, freezes, suspended grants, taken down and deprecated versions,
-- uploads, operators' credentials; and what guards operators from themselves: a brake and an undo.

alter table tenant add column directory_revision bigint not null default nextval('revision');
comment on column tenant.directory_revision is 'drawn anew whenever a package comes or goes';

create table collection (
    tenant_id uuid not null references tenant (id) on delete cascade
  , id uuid not null
  , slug text not null
  , name text not null
  , packages text[] not null
  , version_constraint text
  , minimum_stability text
  , revision bigint not null default nextval('revision')
  , created_at timestamptz not null default now()
  , updated_at timestamptz not null default now()
  , primary key (tenant_id, id)
  , constraint collection_slug_taken unique (tenant_id, slug)
  , constraint collection_slug_form check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$')
);
comment on column collection.packages is 'names and patterns such as acme/*';

-- Suspension, end and freeze stand beside each other, so that lifting one brings back what was before.
alter table customer
    add column suspended_at timestamptz
  , add column suspended_reason text
  , add column frozen json
  , add column may_publish text[] not null default '{}'
  , add column source text
  , add constraint customer_source_known check (source in ('hide', 'show'));
-- An owner who is no superuser would see no row.
alter table customer no force row level security;
update customer set suspended_at = updated_at, suspended_reason = status_reason where status = 'suspended';
update customer set expires_at = least(coalesce(expires_at, updated_at), updated_at) where status = 'expired';
alter table customer force row level security;
alter table customer drop column status, drop column status_reason;
comment on column customer.frozen is 'what he is held at; null while he is not frozen';
comment on column customer.may_publish is 'patterns of packages that his developer tokens may upload to';
comment on column customer.source is 'whether his metadata shows where the source lies; null: as the package, then the tenant says';

alter table token
    add column last_used_at timestamptz
  , add column made_by uuid;
-- Whoever shows a token to the API may name no tenant.
create index token_digest on token (digest);
create index token_made_by on token (tenant_id, made_by) where made_by is not null;
comment on column token.made_by is 'the token that made it; revoked with that one';

alter table access_grant
    alter column package_id drop not null
  , add column collection_id uuid
  , add column external_id text
  , add column suspended_at timestamptz
  , add column suspended_reason text
  , add constraint grant_on_collection foreign key (tenant_id, collection_id) references collection (tenant_id, id)
  , add constraint grant_on_one_thing check ((package_id is null) <> (collection_id is null))
  , add constraint grant_external_id_taken unique (tenant_id, customer_id, external_id);
create index access_grant_collection on access_grant (tenant_id, collection_id) where collection_id is not null;

alter table package
    add column source text
  , add constraint package_source_known check (source in ('hide', 'show'));

alter table version
    add column taken_down_at timestamptz
  , add column taken_down_reason text
  , add column deprecated_at timestamptz
  , add column replacement text
  , drop constraint version_kind_known
  , add constraint version_kind_known check (kind in ('tag', 'branch', 'upload'));
comment on column version.taken_down_reason is 'malware, a court: shown to those who are otherwise entitled';
comment on column version.replacement is 'of a deprecated version: the package to use instead';

create table credential (
    tenant_id uuid not null references tenant (id) on delete cascade
  , id uuid not null
  , name text not null
  , email text
  , level text not null
  , package_scopes text[] not null default '{}'
  , digest text not null
  , last_four text not null
  , created_at timestamptz not null default now()
  , expires_at timestamptz
  , revoked_at timestamptz
  , rotated_at timestamptz
  , last_used_at timestamptz
  , primary key (tenant_id, id)
  , constraint credential_digest_taken unique (digest)
  , constraint credential_level_known check (level in ('owner', 'admin', 'viewer', 'publisher'))
);
comment on table credential is 'operators'' credentials, cma_…';
comment on column credential.package_scopes is 'patterns of the packages that a publisher may upload to and sync';

create table customer_install (
    tenant_id uuid not null references tenant (id) on delete cascade
  , customer_id uuid not null
  , package_name text not null
  , normalized text not null
  , installs bigint not null
  , last_at timestamptz not null
  , primary key (tenant_id, package_name, normalized, customer_id)
);
comment on table customer_install is 'who said he installed what; outlives customers and packages, which may be restored';

create table deletion (
    tenant_id uuid not null references tenant (id) on delete cascade
  , id uuid not null
  , kind text not null
  , subject uuid not null
  , name text not null
  , content json not null
  , deleted_at timestamptz not null default now()
  , deleted_by text not null
  , primary key (tenant_id, id)
  , constraint deletion_kind_known check (kind in ('customer', 'grant', 'package'))
);
create index deletion_age on deletion (deleted_at);
create index deletion_subject on deletion (tenant_id, subject);
create index deletion_name on deletion (tenant_id, kind, name);
comment on column deletion.content is 'the rows that were deleted, by table, as they were; the way back for 30 days';

-- Puts rows back as they were. Columns that came with a later release take their defaults.
create function put_back(name text, kept json) returns bigint
    language plpgsql
    as $$
declare
    columns text;
    done bigint;
begin
    select string_agg(quote_ident(attname), ', ' order by attnum) into columns
    from pg_attribute
    where attrelid = name::regclass and attnum > 0 and not attisdropped and attname in (select json_object_keys(kept->0));
    if columns is null then
        return 0;
    end if;
    execute format('insert into %I (%s) select %s from json_populate_recordset(null::%I, $1)', name, columns, columns, name) using kept;
    get diagnostics done = row_count;
    return done;
end $$;

create table access_loss (
    tenant_id uuid not null references tenant (id) on delete cascade
  , actor text not null
  , customer_id uuid not null
  , at timestamptz not null default now()
);
create index access_loss_of on access_loss (tenant_id, actor, at);
comment on table access_loss is 'who took something from which customer: what the brake counts';

do $$
declare name text;
begin
    foreach name in array array['collection', 'credential', 'customer_install', 'deletion', 'access_loss'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy of_tenant on %I to cargoman_app using (tenant_id = current_tenant()) with check (tenant_id = current_tenant())', name);
        execute format('create policy of_system on %I to cargoman_system using (true) with check (true)', name);
        execute format('grant select, insert, update, delete on %I to cargoman_app, cargoman_system', name);
    end loop;
end $$;
