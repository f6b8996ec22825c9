alter table version drop column gone_at;
alter table package drop column branches, drop column deleted_tags;
