-- One repository, many packages.
alter table package
    add column monorepo text[]
  , add column tag_pattern text
  , add column parent_id uuid
  , add column path text;
comment on column package.monorepo is 'patterns of the folders that are packages of their own; null: there are none';
comment on column package.tag_pattern is 'how the tags of those packages are written; null: a tag is a version of each of them';
comment on column package.parent_id is 'the package whose sync makes this one; it has no repository of its own';
comment on column package.path is 'its folder in the parent''s repository, where it was last';
create index package_parent on package (tenant_id, parent_id) where parent_id is not null;
