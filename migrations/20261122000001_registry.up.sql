-- Roles are one per cluster and migrations one per database: several databases may run this at the same moment.
do $$
declare wanted text;
begin
    foreach wanted in array array['cargoman_app', 'cargoman_system'] loop
        begin
            if not exists (select 1 from pg_roles where rolname = wanted) then
                execute format('create role %I nologin nosuperuser nobypassrls', wanted);
            end if;
        exception when duplicate_object or unique_violation then null;
        end;
        -- Only a member may `set role`; a superuser needs no membership. Since 16 who makes a role is its member but not yet
        -- allowed to take it on.
        if not pg_has_role(current_user, wanted, case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end) then
            execute format('grant %I to current_user', wanted);
        end if;
    end loop;
end $$;

-- The tenant of the running transaction; null outside one, which no row equals.
create function current_tenant() returns uuid
    language sql stable parallel safe
    as $$ select nullif(current_setting('cargoman.tenant', true), '')::uuid $$;

-- Every fact that edges cache carries a number of this sequence, drawn anew with each change.
create sequence revision;

create table tenant (
    id uuid primary key
  , slug text not null
  , name text not null
  , is_default boolean not null default false
  , status text not null default 'active'
  , status_reason text
  , settings json not null default '{}'
  , revision bigint not null default nextval('revision')
  , created_at timestamptz not null default now()
  , constraint tenant_slug_taken unique (slug)
  , constraint tenant_slug_form check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$')
  , constraint tenant_status_known check (status in ('active', 'suspended'))
);
create unique index tenant_one_default on tenant (is_default) where is_default;

create table vendor (
    tenant_id uuid not null references tenant (id) on delete cascade
  , name text not null
  , exclusive boolean not null
  , public_names text[] not null default '{}'
  , updated_at timestamptz not null default now()
  , primary key (tenant_id, name)
);
comment on column vendor.exclusive is 'every name under it is the tenant''s: an absent one answers an empty list';

create table package (
    tenant_id uuid not null references tenant (id) on delete cascade
  , id uuid not null
  , name text not null
  , repository_type text not null
  , repository_url text
  , fork boolean not null default false
  , abandoned boolean not null default false
  , replacement text
  , default_branch text
  , refs_digest text
  , first_synced_at timestamptz
  , synced_at timestamptz
  , sync_error text
  , revision bigint not null default nextval('revision')
  , created_at timestamptz not null default now()
  , primary key (tenant_id, id)
  , constraint package_name_taken unique (tenant_id, name)
);
comment on column package.refs_digest is 'digest of the ref listing at the last whole sync; the same again means nothing to do';
comment on column package.first_synced_at is 'end of the very first whole sync: until then versions are dated by their tags and commits';

create table dist (
    tenant_id uuid not null references tenant (id) on delete cascade
  , sha256 text not null
  , sha1 text not null
  , size bigint not null
  , created_at timestamptz not null default now()
  , primary key (tenant_id, sha256)
  , constraint dist_sha256_form check (sha256 ~ '^[0-9a-f]{64}$')
);

create table version (
    tenant_id uuid not null
  , id uuid not null
  , package_id uuid not null
  , normalized text not null
  , pretty text not null
  , stability text not null
  , kind text not null
  , ref_name text not null
  , default_branch boolean not null default false
  , aliases text[] not null default '{}'
  , metadata json not null
  , reference text not null
  , yanked_at timestamptz
  , created_at timestamptz not null default now()
  , updated_at timestamptz not null default now()
  , primary key (tenant_id, id)
  , constraint version_taken unique (tenant_id, package_id, normalized)
  , constraint version_of_package foreign key (tenant_id, package_id) references package (tenant_id, id) on delete cascade
  , constraint version_kind_known check (kind in ('tag', 'branch'))
);
comment on column version.reference is 'the commit shown in metadata; earlier ones of a branch stand in version_reference';

create table version_reference (
    tenant_id uuid not null
  , version_id uuid not null
  , reference text not null
  , published_at timestamptz not null
  , dist_sha256 text not null
  , primary key (tenant_id, version_id, reference)
  , constraint reference_of_version foreign key (tenant_id, version_id) references version (tenant_id, id) on delete cascade
  , constraint reference_dist foreign key (tenant_id, dist_sha256) references dist (tenant_id, sha256)
  , constraint reference_form check (reference ~ '^[0-9a-f]{40,64}$')
);
create index version_reference_dist on version_reference (tenant_id, dist_sha256);

create table publication (
    tenant_id uuid not null references tenant (id) on delete cascade
  , package_name text not null
  , normalized text not null
  , reference text not null
  , published_at timestamptz not null
  , primary key (tenant_id, package_name, normalized, reference)
);
comment on table publication is 'first sight of each reference, by name: outlives the package, so that deleting and adding it again moves no licence window';

create table git_ref (
    tenant_id uuid not null
  , package_id uuid not null
  , name text not null
  , oid text not null
  , normalized text
  , default_branch boolean not null default false
  , skip_code text
  , skip_reason text
  , primary key (tenant_id, package_id, name)
  , constraint git_ref_of_package foreign key (tenant_id, package_id) references package (tenant_id, id) on delete cascade
);
comment on table git_ref is 'what the last sync made of each ref, so that the next one leaves unchanged refs alone';
comment on column git_ref.skip_reason is 'why the ref is no version; null when it is one';

create table customer (
    tenant_id uuid not null references tenant (id) on delete cascade
  , id uuid not null
  , name text not null
  , email text
  , external_id text
  , status text not null default 'active'
  , status_reason text
  , expires_at timestamptz
  , minimum_stability text
  , metadata json
  , revision bigint not null default nextval('revision')
  , created_at timestamptz not null default now()
  , updated_at timestamptz not null default now()
  , primary key (tenant_id, id)
  , constraint customer_external_id_taken unique (tenant_id, external_id)
  , constraint customer_status_known check (status in ('active', 'suspended', 'expired'))
);

create table token (
    tenant_id uuid not null
  , id uuid not null
  , customer_id uuid not null
  , name text not null
  , scope text not null
  , package_scopes text[] not null default '{}'
  , digest text not null
  , last_four text not null
  , created_at timestamptz not null default now()
  , expires_at timestamptz
  , revoked_at timestamptz
  , rotated_at timestamptz
  , primary key (tenant_id, id)
  , constraint token_digest_taken unique (tenant_id, digest)
  , constraint token_of_customer foreign key (tenant_id, customer_id) references customer (tenant_id, id) on delete cascade
  , constraint token_scope_known check (scope in ('download', 'admin', 'developer', 'webhook'))
);
create index token_customer on token (tenant_id, customer_id);
comment on column token.rotated_at is 'since when it has a successor; expires_at is then the end of its grace';
comment on column token.digest is 'SHA-256 of the plain text, hexadecimal; the plain text is kept nowhere';

create table access_grant (
    tenant_id uuid not null
  , id uuid not null
  , customer_id uuid not null
  , package_id uuid not null
  , version_constraint text not null
  , minimum_stability text
  , updates_until timestamptz
  , created_at timestamptz not null default now()
  , primary key (tenant_id, id)
  , constraint grant_of_customer foreign key (tenant_id, customer_id) references customer (tenant_id, id) on delete cascade
  , constraint grant_on_package foreign key (tenant_id, package_id) references package (tenant_id, id) on delete cascade
);
create index access_grant_customer on access_grant (tenant_id, customer_id);
create index access_grant_package on access_grant (tenant_id, package_id);

create table job (
    tenant_id uuid not null references tenant (id) on delete cascade
  , id uuid not null
  , kind text not null
  , subject uuid not null
  , state text not null default 'queued'
  , attempt integer not null default 0
  , run_after timestamptz not null default now()
  , lease_owner uuid
  , leased_until timestamptz
  , result json
  , error text
  , created_at timestamptz not null default now()
  , started_at timestamptz
  , finished_at timestamptz
  , primary key (tenant_id, id)
  , constraint job_state_known check (state in ('queued', 'running', 'succeeded', 'failed', 'cancelled'))
);
create unique index job_one_queued on job (tenant_id, kind, subject) where state = 'queued';
create unique index job_one_running on job (tenant_id, kind, subject) where state = 'running';
create index job_next on job (run_after) where state = 'queued';
create index job_leased on job (leased_until) where state = 'running';

create table outbox (
    id bigint generated always as identity primary key
  , tenant_id uuid not null references tenant (id) on delete cascade
  , kind text not null
  , keys json not null
  , seq bigint
  , epoch bigint
  , at timestamptz not null default now()
);
create index outbox_unnumbered on outbox (id) where seq is null;
create unique index outbox_seq on outbox (seq) where seq is not null;
comment on column outbox.seq is 'given after commit, so that it has no gaps and follows the order of commits';

create table audit (
    id bigint generated always as identity primary key
  , tenant_id uuid not null references tenant (id) on delete cascade
  , actor text not null
  , action text not null
  , subject text not null
  , detail json not null default '{}'
  , at timestamptz not null default now()
);
create index audit_tenant on audit (tenant_id, id);

create table idempotency (
    tenant_id uuid not null references tenant (id) on delete cascade
  , key text not null
  , request_digest text not null
  , holder uuid not null
  , held_until timestamptz not null
  , status smallint
  , response json
  , at timestamptz not null default now()
  , primary key (tenant_id, key)
  , constraint idempotency_answer_whole check ((status is null) = (response is null))
);
comment on column idempotency.status is 'of the answer; null while the request is under way, which its holder says by moving held_until';
create index idempotency_at on idempotency (tenant_id, at);

create table install_count (
    tenant_id uuid not null references tenant (id) on delete cascade
  , package_name text not null
  , normalized text not null
  , day date not null
  , installs bigint not null
  , primary key (tenant_id, package_name, normalized, day)
);

-- Two walls: every query names its tenant, and the policies below hold if one forgets to.
do $$
declare name text;
begin
    foreach name in array array['vendor', 'package', 'dist', 'version', 'version_reference', 'publication', 'git_ref', 'customer', 'token'
                               , 'access_grant', 'job', 'outbox', 'audit', 'idempotency', 'install_count'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy of_tenant on %I to cargoman_app using (tenant_id = current_tenant()) with check (tenant_id = current_tenant())', name);
        execute format('create policy of_system on %I to cargoman_system using (true) with check (true)', name);
        execute format('grant select, insert, update, delete on %I to cargoman_app, cargoman_system', name);
    end loop;
end $$;
alter table tenant enable row level security;
alter table tenant force row level security;
create policy of_tenant on tenant to cargoman_app using (id = current_tenant()) with check (id = current_tenant());
create policy of_system on tenant to cargoman_system using (true) with check (true);
grant select, update on tenant to cargoman_app;
grant select, insert, update, delete on tenant to cargoman_system;
-- The audit trail is written and read, never changed.
revoke update, delete on audit from cargoman_app, cargoman_system;
grant usage on sequence revision to cargoman_app, cargoman_system;
