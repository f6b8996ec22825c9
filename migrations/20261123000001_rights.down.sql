-- What the older schema cannot say is lost: uploads, grants on collections, freezes.
drop table access_loss, deletion, customer_install, credential;
delete from version where kind = 'upload';
alter table version
    drop constraint version_kind_known
  , add constraint version_kind_known check (kind in ('tag', 'branch'))
  , drop column replacement
  , drop column deprecated_at
  , drop column taken_down_reason
  , drop column taken_down_at;
alter table package drop column source;
delete from access_grant where collection_id is not null or suspended_at is not null;
alter table access_grant
    drop constraint grant_external_id_taken
  , drop column collection_id
  , drop column external_id
  , drop column suspended_at
  , drop column suspended_reason
  , alter column package_id set not null;
drop index token_digest;
alter table token drop column made_by, drop column last_used_at;
alter table customer drop column source, drop column may_publish, drop column frozen, drop column suspended_reason
                  , drop column suspended_at;
drop table collection;
alter table tenant drop column directory_revision;
