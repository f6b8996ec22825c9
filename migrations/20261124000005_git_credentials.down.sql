-- The secrets are lost: the older schema has no word for them.
alter table package drop constraint package_git_credential, drop column git_credential_id;
drop table git_credential;
