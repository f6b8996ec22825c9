drop index package_parent;
alter table package drop column monorepo, drop column tag_pattern, drop column parent_id, drop column path;
