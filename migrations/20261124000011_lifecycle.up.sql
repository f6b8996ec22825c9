-- Which branches are versions, and what becomes of a release whose tag is gone.
alter table package
    add column branches text[]
  , add column deleted_tags text
  , add constraint package_deleted_tags_known check (deleted_tags in ('keep', 'remove'));
comment on column package.branches is 'patterns of the branches that are versions; null: all. The default branch always is';
comment on column package.deleted_tags is 'null: keep';
alter table version add column gone_at timestamptz;
comment on column version.gone_at is 'since when the repository has not had its tag any more';
