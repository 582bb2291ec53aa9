-- A tenant "acme" with :rows / 10 members; history.sql gives it the history.
-- Loaded in bulk with every trigger and foreign key off
-- (session_replication_role), so what triggers keep is kept here: canonical
-- addresses, copies of address and role in sessions, holds_seat, the counts
-- of members and of open invitations, and the open periods of members. Nothing else counts: acme has no limit,
-- hence no seat_count, and no owner is added.
--
-- psql -v rows=10000 -f data.sql
SET synchronous_commit = off;
SET client_min_messages = error;
CREATE EXTENSION usermgmt;
SELECT usermgmt.grant_access('bench_app', 'application');
SELECT usermgmt.create_tenant('acme', 'Acme GmbH', 'olivia@acme.example', 'Olivia Owner');
SELECT usermgmt.use_tenant('acme');

CREATE SCHEMA bench;
GRANT USAGE ON SCHEMA bench TO bench_app;
-- The n-th id of a kind, in the form of a version 7 uuid: sorted by n.
CREATE FUNCTION bench.id(kind integer, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
	$$SELECT (lpad(to_hex(1700000000000 + n), 12, '0') || '70008000' || lpad(to_hex(kind), 4, '0') || lpad(to_hex(n), 8, '0'))::uuid$$;
CREATE FUNCTION bench.at(n bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
	$$SELECT to_timestamp(1704067200 + n * 5)$$;

SELECT tenant_id AS tenant FROM usermgmt.tenant WHERE slug = 'acme' \gset
SELECT :rows / 10 AS people \gset
SET session_replication_role = replica;

-- The owner has followed the link of the welcome mail.
UPDATE usermgmt.account SET verified_at = now();

INSERT INTO usermgmt.account (user_id, email, canonical_email, name, created_at, verified_at)
SELECT bench.id(1, n), 'p' || n || '@example.org', 'p' || n || '@example.org', 'Person ' || n, bench.at(n), bench.at(n)
FROM generate_series(1, :people) AS n;

INSERT INTO usermgmt.membership (tenant_id, user_id, role, status, joined_at, last_login_at, last_seen_at,
	deactivated_at, deactivation_reason)
SELECT :'tenant', bench.id(1, n), CASE WHEN n % 1000 = 1 THEN 'admin' ELSE 'member' END,
	CASE WHEN n % 100 = 0 THEN 'deactivated' ELSE 'active' END, bench.at(n),
	CASE WHEN n % 10 <> 0 THEN bench.at(n * 10) END, CASE WHEN n % 10 <> 0 THEN bench.at(n * 10) END,
	CASE WHEN n % 100 = 0 THEN bench.at(n * 10) END, CASE WHEN n % 100 = 0 THEN 'left' END
FROM generate_series(1, :people) AS n;

INSERT INTO usermgmt.membership_history (tenant_id, user_id, workspace_id, valid, role, status, database_role, transaction_id)
SELECT tenant_id, user_id, '00000000-0000-0000-0000-000000000000', tstzrange(joined_at, NULL), role, status, 'bench_app', '3'
FROM usermgmt.membership WHERE NOT is_primary_owner;

INSERT INTO usermgmt.workspace (tenant_id, workspace_id, slug, name, created_at)
SELECT :'tenant', bench.id(6, n), 'ws-' || n, 'Workspace ' || n, bench.at(n) FROM generate_series(1, 10) AS n;
INSERT INTO usermgmt.workspace_member (tenant_id, workspace_id, user_id, role, added_at)
SELECT :'tenant', bench.id(6, 1 + n / 10 % 10), bench.id(1, n), 'member', bench.at(n) FROM generate_series(1, :people) AS n;

-- Folded, as maintenance leaves them.
INSERT INTO usermgmt.member_count (tenant_id, role, status, logged_in_on, count_id, n, folded)
SELECT m.tenant_id, k.role, m.status, k.day, gen_random_uuid(), count(*), true
FROM usermgmt.membership AS m, LATERAL (VALUES (m.role, 'infinity'::date), ('any', coalesce((m.last_login_at AT TIME ZONE 'UTC')::date, '-infinity'))) AS k (role, day)
WHERE NOT m.is_primary_owner AND (k.role <> 'any' OR m.status = 'active') GROUP BY 1, 2, 3, 4;
INSERT INTO usermgmt.member_count (tenant_id, workspace_id, role, status, logged_in_on, count_id, n, folded)
SELECT m.tenant_id, w.workspace_id, k.role, m.status, k.day, gen_random_uuid(), count(*), true
FROM usermgmt.membership AS m JOIN usermgmt.workspace_member AS w USING (tenant_id, user_id),
	LATERAL (VALUES (m.role, 'infinity'::date), ('any', coalesce((m.last_login_at AT TIME ZONE 'UTC')::date, '-infinity'))) AS k (role, day)
WHERE k.role <> 'any' OR m.status = 'active' GROUP BY 1, 2, 3, 4, 5;

SET session_replication_role = origin;
