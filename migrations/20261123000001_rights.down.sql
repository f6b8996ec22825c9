-- What the older schema cannot say is lost: uploads, grants on collections, freezes.
drop function put_back(text, json);
drop table access_loss, deletion, customer_install, credential;
-- An owner who is no superuser would see no row.
alter table version no force row level security;
alter table access_grant no force row level security;
alter table customer no force row level security;
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
alter table customer
    add column status text not null default 'active'
  , add column status_reason text
  , add constraint customer_status_known check (status in ('active', 'suspended', 'expired'));
-- Whose end was in the past when he was last changed was expired by hand; for others the end says it all.
update customer set status = case when suspended_at is not null then 'suspended' else 'expired' end
                  , status_reason = case when suspended_at is not null then suspended_reason end
where suspended_at is not null or expires_at <= updated_at;
alter table customer
    drop column source
  , drop column may_publish
  , drop column frozen
  , drop column suspended_reason
  , drop column suspended_at;
drop table collection;
alter table tenant drop column directory_revision;
alter table version force row level security;
alter table access_grant force row level security;
alter table customer force row level security;
