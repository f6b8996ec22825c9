-- What was downloaded is lost: the older schema has no word for it.
alter table token drop column last_used_ip;
drop table traffic, download_count, download, usage_batch;
