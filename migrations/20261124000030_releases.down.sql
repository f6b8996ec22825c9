drop index version_due;
alter table version drop column held_at, drop column release_at, drop column replaceable;
alter table package drop column releases, drop column release_delay_hours;
