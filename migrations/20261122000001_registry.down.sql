drop table install_count, idempotency, audit, outbox, job, access_grant, token, customer, git_ref, publication, version_reference, version, dist
         , package, vendor, tenant;
drop sequence revision;
drop function current_tenant();
-- The roles stay: other databases of the cluster may use them.
