drop table forge_project;
drop table forge_group;
delete from git_credential g where kind = 'github-app' and not exists (
    select 1 from package p where p.tenant_id = g.tenant_id and p.git_credential_id = g.id);
alter table git_credential drop constraint git_credential_kind_known
    , add constraint git_credential_kind_known check (kind in ('https', 'ssh')) not valid;
comment on column git_credential.username is null;
