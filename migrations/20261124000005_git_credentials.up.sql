create table git_credential (
    tenant_id uuid not null references tenant (id) on delete cascade
  , id uuid not null
  , name text not null
  , kind text not null
  , origin text not null
  , username text
  , secret bytea not null
  , public_key text
  , fingerprint text
  , generated boolean not null default false
  , created_at timestamptz not null default now()
  , rotated_at timestamptz
  , last_used_at timestamptz
  , primary key (tenant_id, id)
  , constraint git_credential_name_taken unique (tenant_id, name)
  , constraint git_credential_kind_known check (kind in ('https', 'ssh'))
);
comment on column git_credential.origin is 'scheme, host and port that the secret may be sent to, and no other; never changes';
comment on column git_credential.secret is 'sealed with a master key (control-plane/src/secrets): the origin, NUL, and a password or a private key in OpenSSH''s form';
comment on column git_credential.generated is 'the private key was made here and is known to nobody else';

alter table package add column git_credential_id uuid
  , add constraint package_git_credential foreign key (tenant_id, git_credential_id) references git_credential (tenant_id, id);
create index package_git_credential_used on package (tenant_id, git_credential_id) where git_credential_id is not null;

do $$
declare name text;
begin
    foreach name in array array['git_credential'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy of_tenant on %I to cargoman_app using (tenant_id = current_tenant()) with check (tenant_id = current_tenant())', name);
        execute format('create policy of_system on %I to cargoman_system using (true) with check (true)', name);
        execute format('grant select, insert, update, delete on %I to cargoman_app, cargoman_system', name);
    end loop;
end $$;
