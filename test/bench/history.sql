-- One table of the history that data.sql has made the tenant for: :rows rows of
-- it. The tables are loaded side by side, each without its indexes, which are
-- made at the end: REINDEX takes an index that is not ready for a broken one.
--
-- psql -v rows=10000 -v table=session -f history.sql
SET synchronous_commit = off;
SET maintenance_work_mem = '256MB';
SET allow_system_table_mods = on;
SET session_replication_role = replica;
SELECT tenant_id AS tenant FROM usermgmt.tenant WHERE slug = 'acme' \gset
SELECT :rows / 10 AS people, 'usermgmt.' || :'table' AS relation,
	:'table' = 'session' AS session, :'table' = 'invitation' AS invitation, :'table' = 'outbox' AS outbox, :'table' = 'audit_event' AS audit_event \gset
UPDATE pg_catalog.pg_index SET indisready = false WHERE indrelid = :'relation'::regclass;

\if :session
-- One in 50 is open, none is to be purged. The hashes are of no token that anybody has.
INSERT INTO usermgmt.session (session_id, tenant_id, user_id, token_hash, role, email, state, created_at,
	last_used_at, expires_at, ended_at, end_reason, ip)
SELECT bench.id(2, n), :'tenant', bench.id(1, 1 + n % :people), sha256(n::text::bytea), CASE WHEN n % :people % 1000 = 0 THEN 'admin' ELSE 'member' END,
	'p' || 1 + n % :people || '@example.org', CASE WHEN n % 50 = 0 THEN 'open' ELSE 'ended' END,
	bench.at(n), bench.at(n), now() + interval '1 year',
	CASE WHEN n % 50 <> 0 THEN bench.at(n + 1000) END, CASE WHEN n % 50 <> 0 THEN 'logged out' END, '192.0.2.1'
FROM generate_series(1, :rows) AS n;
\endif

\if :invitation
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
\endif

\if :outbox
INSERT INTO usermgmt.outbox (message_id, tenant_id, kind, subject_id, recipient, recipient_name, state, due_at,
	expires_at, attempts, fence, holder, worker, created_at, claimed_at, finished_at, reply)
SELECT bench.id(4, n), :'tenant', 'invitation', bench.id(3, n), 'i' || n || '@example.org', 'Guest ' || n, 'sent',
	bench.at(n), bench.at(n + 60000), 1, 1, 1, 'relay', bench.at(n), bench.at(n), bench.at(n), '250 2.0.0 Ok'
FROM generate_series(1, :rows) AS n;
\endif

\if :audit_event
INSERT INTO usermgmt.audit_event (tenant_id, event_id, occurred_at, actor_user_id, actor_email, actor_db_role,
	session_id, ip, action, object_type, object_id, subject_email, new, transaction_id, epoch)
SELECT :'tenant', bench.id(5, n), bench.at(n), bench.id(1, 1 + n % :people), 'p' || 1 + n % :people || '@example.org',
	'bench_app', bench.id(2, n), '192.0.2.1', 'invitation.created', 'invitation', bench.id(3, n)::text,
	'i' || n || '@example.org',
	'{"role": "member", "state": "pending", "generation": 0, "email": "somebody.invited@example.org", "name": "Some Guest",
		"created_at": "2024-01-05T12:34:56.789+00:00", "expires_at": "2024-01-12T12:34:56.789+00:00"}',
	(4 + n::bigint * 500 / :rows)::text::xid8, 0
FROM generate_series(1, :rows) AS n;
\endif

REINDEX TABLE :relation;
VACUUM (FREEZE, ANALYZE) :relation;

\if :invitation
INSERT INTO usermgmt.invitation_count (tenant_id, expires_on, count_id, n, folded)
SELECT tenant_id, (expires_at AT TIME ZONE 'UTC')::date, gen_random_uuid(), count(*), true
FROM usermgmt.invitation WHERE state = 'pending' GROUP BY 1, 2;
\endif
