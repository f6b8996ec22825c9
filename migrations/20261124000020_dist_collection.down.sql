drop table dist_collection;
drop function lock_dist(uuid, text);
drop function dist_is_needed(uuid, text);
drop table dist_coming;
alter table tenant drop column dist_redirects_ended_at;
alter table dist drop column unneeded_since;
