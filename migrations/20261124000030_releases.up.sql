-- When what is new becomes visible, and releases that may be made anew.
alter table package
    add column releases text
  , add column release_delay_hours integer
  , add constraint package_releases_known check (releases in ('manual', 'delayed'))
  , add constraint package_release_delay check ((coalesce(releases, 'auto') = 'delayed') = (release_delay_hours is not null))
  , add constraint package_release_delay_range check (release_delay_hours between 1 and 8760);
comment on column package.releases is 'null: auto, what is new is visible at once';
alter table version
    add column held_at timestamptz
  , add column release_at timestamptz
  , add column replaceable boolean;
comment on column version.held_at is 'since when it waits for its release, seen by no customer; null: it does not wait';
comment on column version.release_at is 'of one that waits: when it is released by itself; null: when somebody says so';
comment on column version.replaceable is 'its tag may move to another commit, once: an owner said so, and nobody ever had it';
create index version_due on version (release_at) where release_at is not null;
