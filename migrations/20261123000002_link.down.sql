-- The numbers stay in the outbox: whoever goes up again goes on from them, in a new epoch.
drop table edge_member, edge, edge_join_token;
alter table tenant drop column outage_changed;
drop trigger outbox_written on outbox;
drop function outbox_written();
drop function raise_epoch(bigint, bigint);
drop function number_outbox();
drop table link_state;
alter table outbox drop column event;
