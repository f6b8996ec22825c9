drop function verify_audit(uuid);
drop function chain_audit(integer);
drop trigger audit_stays on audit;
drop function audit_stays();
drop function audit_hash(bytea, bigint, audit);
drop table audit_head;
alter table audit drop constraint audit_chained_whole;
alter table audit drop column seq, drop column hash;
revoke update on audit from cargoman_system;
