drop table webhook_delivery;
drop table hook;
drop index package_repository;
alter table package drop column repository_key, drop column remote_id, drop column frozen_reason;
