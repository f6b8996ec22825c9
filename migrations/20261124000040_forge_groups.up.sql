-- A group of projects at a forge: what becomes a package as soon as it has a composer.json.
alter table git_credential drop constraint git_credential_kind_known
    , add constraint git_credential_kind_known check (kind in ('https', 'ssh', 'github-app'));
comment on column git_credential.username is 'of https the user, of ssh that of the address, of a GitHub App its id';

create table forge_group (
    tenant_id uuid not null references tenant (id) on delete cascade
  , id uuid not null
  , provider text not null
  , url text not null
  , api_url text not null
  , path text not null
  , installation text
  , git_credential_id uuid not null
  , package_credential_id uuid
  , packages text[] not null
  , projects text[]
  , hook_id uuid
  , list_wanted boolean not null default true
  , list_asked bigint not null default 0
  , listed_at timestamptz
  , sync_error text
  , poll_after timestamptz not null default now() + interval '1 hour'
  , created_at timestamptz not null default now()
  , primary key (tenant_id, id)
  , constraint forge_group_taken unique (tenant_id, url)
  , constraint forge_group_provider_known check (provider in ('github', 'gitlab', 'bitbucket', 'gitea'))
  , constraint forge_group_credential foreign key (tenant_id, git_credential_id) references git_credential (tenant_id, id)
  , constraint forge_group_package_credential foreign key (tenant_id, package_credential_id) references git_credential (tenant_id, id)
  , constraint forge_group_hook foreign key (tenant_id, hook_id) references hook (tenant_id, id) on delete set null (hook_id)
);
create index forge_group_poll on forge_group (poll_after);
comment on column forge_group.url is 'for people, in one form';
comment on column forge_group.path is 'as the API names the group; empty for a whole instance';
comment on column forge_group.installation is 'GitHub''s number of the installation of the App that the credential is for';
comment on column forge_group.packages is 'globs of the names that may come from it';
comment on column forge_group.projects is 'patterns of the projects that are looked at; none: all';
comment on column forge_group.hook_id is 'what its projects'' hooks prove themselves with; none: no hooks are made';
comment on column forge_group.list_wanted is 'its projects are to be listed anew';
comment on column forge_group.list_asked is 'how often that was asked for: who asks while they are listed is not forgotten';

create table forge_project (
    tenant_id uuid not null
  , group_id uuid not null
  , remote_id text not null
  , path text not null
  , api text not null
  , https text
  , ssh text
  , default_branch text
  , changed text
  , state text not null
  , reason text
  , package_id uuid
  , remote_hook text
  , hook_check boolean not null default false
  , hook_error text
  , look boolean not null default true
  , look_asked bigint not null default 0
  , seen_at timestamptz not null default now()
  , checked_at timestamptz
  , primary key (tenant_id, group_id, remote_id)
  , constraint forge_project_of_group foreign key (tenant_id, group_id) references forge_group (tenant_id, id) on delete cascade
  , constraint forge_project_state_known check (state in ('new', 'package', 'no_manifest', 'refused', 'left_out', 'archived', 'gone', 'failed'))
);
create index forge_project_look on forge_project (tenant_id, group_id) where look;
create index forge_project_package on forge_project (tenant_id, package_id) where package_id is not null;
comment on column forge_project.remote_id is 'the forge''s own name for it, which stays when it is renamed';
comment on column forge_project.changed is 'something of the forge''s that changes when the project does';
comment on column forge_project.package_id is 'the package that was made of it; it stays when that is deleted, so that it is not made again';
comment on column forge_project.remote_hook is 'the forge''s name for the hook that was made';
comment on column forge_project.hook_check is 'whether the hook is still there is to be asked';
comment on column forge_project.look is 'its composer.json is to be looked for';
comment on column forge_project.look_asked is 'how often that was asked for: who asks while it is looked at is not forgotten';

do $$
declare name text;
begin
    foreach name in array array['forge_group', 'forge_project'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy of_tenant on %I to cargoman_app using (tenant_id = current_tenant()) with check (tenant_id = current_tenant())', name);
        execute format('create policy of_system on %I to cargoman_system using (true) with check (true)', name);
        execute format('grant select, insert, update, delete on %I to cargoman_app, cargoman_system', name);
    end loop;
end $$;
