-- A tenant "acme" with a history of :rows sessions, invitations, mails and
-- events, and a tenth as many members. Loaded in bulk with every trigger and
-- foreign key off (session_replication_role), so what triggers keep is kept
-- here: canonical addresses, copies of address and role in sessions, holds_seat,
-- and the open period of each member. Nothing else counts: acme has no limit,
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
	$$SELECT timestamptz '2024-01-01 00:00:00+00' + n * interval '10 seconds'$$;

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
SELECT :'tenant', bench.id(6, 1 + n % 10), bench.id(1, n), 'member', bench.at(n) FROM generate_series(1, :people) AS n;

-- One in 50 is open, none is to be purged. The hashes are of no token that anybody has.
INSERT INTO usermgmt.session (session_id, tenant_id, user_id, token_hash, role, email, state, created_at,
	last_used_at, expires_at, ended_at, end_reason, ip)
SELECT bench.id(2, n), :'tenant', bench.id(1, 1 + n % :people), sha256(n::text::bytea), 'member',
	'p' || 1 + n % :people || '@example.org', CASE WHEN n % 50 = 0 THEN 'open' ELSE 'ended' END,
	bench.at(n), bench.at(n), now() + interval '1 year',
	CASE WHEN n % 50 <> 0 THEN bench.at(n + 1000) END, CASE WHEN n % 50 <> 0 THEN 'logged out' END, '192.0.2.1'
FROM generate_series(1, :rows) AS n;

-- One in 100 is open.
INSERT INTO usermgmt.invitation (invitation_id, tenant_id, email, canonical_email, name, role, state, holds_seat,
	created_at, queued_at, expires_at, accepted_at, accepted_by, revoked_at)
SELECT bench.id(3, n), :'tenant', 'i' || n || '@example.org', 'i' || n || '@example.org', 'Guest ' || n, 'member',
	s.state, s.state = 'pending', bench.at(n), bench.at(n),
	CASE WHEN s.state = 'pending' THEN now() + interval '5 days' ELSE bench.at(n + 60000) END,
	CASE WHEN s.state = 'accepted' THEN bench.at(n + 1000) END,
	CASE WHEN s.state = 'accepted' THEN bench.id(1, 1 + n % :people) END,
	CASE WHEN s.state = 'revoked' THEN bench.at(n + 1000) END
FROM generate_series(1, :rows) AS n
CROSS JOIN LATERAL (SELECT CASE WHEN n % 100 = 0 THEN 'pending' WHEN n % 10 = 1 THEN 'revoked' ELSE 'accepted' END) AS s (state);

INSERT INTO usermgmt.outbox (message_id, tenant_id, kind, subject_id, recipient, recipient_name, state, due_at,
	expires_at, attempts, fence, holder, worker, created_at, claimed_at, finished_at, reply)
SELECT bench.id(4, n), :'tenant', 'invitation', bench.id(3, n), 'i' || n || '@example.org', 'Guest ' || n, 'sent',
	bench.at(n), bench.at(n + 60000), 1, 1, 1, 'relay', bench.at(n), bench.at(n), bench.at(n), '250 2.0.0 Ok'
FROM generate_series(1, :rows) AS n;

INSERT INTO usermgmt.audit_event (tenant_id, event_id, occurred_at, actor_user_id, actor_email, actor_db_role,
	session_id, ip, action, object_type, object_id, subject_email, new, transaction_id, epoch)
SELECT :'tenant', bench.id(5, n), bench.at(n), bench.id(1, 1 + n % :people), 'p' || 1 + n % :people || '@example.org',
	'bench_app', bench.id(2, n), '192.0.2.1', 'invitation.created', 'invitation', bench.id(3, n)::text,
	'i' || n || '@example.org',
	jsonb_build_object('invitation_id', bench.id(3, n), 'email', 'i' || n || '@example.org', 'name', 'Guest ' || n,
		'role', 'member', 'state', 'pending', 'generation', 0, 'created_at', bench.at(n), 'expires_at', bench.at(n + 60000)),
	(n % 1000000 + 3)::text::xid8, 0
FROM generate_series(1, :rows) AS n;

SET session_replication_role = origin;
