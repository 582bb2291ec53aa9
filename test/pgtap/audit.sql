-- The trail: one entry per act, on every path, for the right readers, for ever.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('other') AS other_id, pg_temp.join('eve@other.test', 'admin') AS eve \gset
SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('admin@acme.test', 'admin') AS admin, pg_temp.join('bob@acme.test') AS bob \gset
SELECT pg_temp.id_of('owner@acme.test') AS owner \gset
SET LOCAL usermgmt.resend_cooldown = 0;

-- S0.15, by an admin with a session: each act in turn, and what it left.
CREATE TEMPORARY TABLE act (n serial, what text, action text, statement text, object text, subject text, reason text);
CREATE TEMPORARY TABLE seen (what text, action text, object_id text, actor_user_id uuid, actor_email text, session_id uuid,
	subject_email text, reason text, tenant_id uuid, transaction_id xid8, fresh boolean);
CREATE FUNCTION pg_temp.record(what text, statement text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	before uuid[] := ARRAY(SELECT event_id FROM usermgmt.audit_event);
BEGIN
	EXECUTE statement;
	INSERT INTO seen SELECT what, action, object_id, actor_user_id, actor_email, session_id, subject_email, reason, tenant_id, transaction_id,
		abs(extract(epoch FROM clock_timestamp() - occurred_at)) < 60
		FROM usermgmt.audit_event WHERE event_id <> ALL (before);
END $$;
CREATE FUNCTION pg_temp.record_as_admin(what text, statement text) RETURNS void LANGUAGE sql AS $$
	SELECT pg_temp.record(what, format('SELECT pg_temp.act(%L, %L)', 'admin@acme.test', statement))
$$;
SELECT token AS admin_token FROM person WHERE email = 'admin@acme.test' \gset
SELECT session_id AS admin_session FROM usermgmt.session WHERE user_id = :'admin' AND state = 'open' \gset

SELECT pg_temp.record_as_admin('invite', $$SELECT usermgmt.invite_user('carol@acme.test')$$) AS x \gset
SELECT invitation_id AS carol FROM usermgmt.invitation WHERE email = 'carol@acme.test' \gset
SELECT pg_temp.record_as_admin('resend', format('SELECT usermgmt.resend_invitation(%L)', :'carol')) AS x \gset
UPDATE usermgmt.invitation SET expires_at = now() - interval '1 hour' WHERE invitation_id = :'carol';
SELECT pg_temp.record_as_admin('reopen', format('SELECT usermgmt.resend_invitation(%L)', :'carol')) AS x \gset
SELECT pg_temp.record_as_admin('link', format('SELECT usermgmt.invitation_link(%L)', :'carol')) AS x \gset
SELECT pg_temp.record_as_admin('revoke', format('SELECT usermgmt.revoke_invitation(%L, %L)', :'carol', 'hired elsewhere')) AS x \gset
SELECT pg_temp.invite('dave@acme.test') AS dave_invitation \gset
SELECT pg_temp.record('accept', format($$SELECT usermgmt.accept_invitation(%L, 'daves password', ip => '192.0.2.7')$$, pg_temp.token_of(:'dave_invitation'))) AS x \gset
SELECT user_id AS dave FROM usermgmt.account WHERE email = 'dave@acme.test' \gset
SELECT pg_temp.record_as_admin('reset', format('SELECT usermgmt.send_password_reset(%L)', :'bob')) AS x \gset
SELECT pg_temp.record_as_admin('deactivate', format('SELECT usermgmt.deactivate_user(%L, %L)', :'bob', 'on leave')) AS x \gset
SELECT pg_temp.record_as_admin('reactivate', format('SELECT usermgmt.reactivate_user(%L)', :'bob')) AS x \gset
SELECT pg_temp.record_as_admin('change role', format('SELECT usermgmt.change_role(%L, %L, %L)', :'bob', 'admin', 'team lead')) AS x \gset

SELECT results_eq(
	format($$SELECT what, count(*), min(action), min(object_id), min(actor_user_id::text), min(actor_email), min(session_id::text), min(subject_email), min(reason)
		FROM seen WHERE (what, action) = (%L, %L) GROUP BY what$$, e.what, e.action),
	format('VALUES (%L, 1::bigint, %L, %L, %L, %L, %L, %L, %L)', e.what, e.action, e.object,
		:'admin', 'admin@acme.test', :'admin_session', e.subject, e.reason),
	'S0.15 one audit entry: ' || e.what || ', with actor, object, subject and reason')
	FROM (VALUES ('invite', 'invitation.created', :'carol', 'carol@acme.test', NULL),
		('resend', 'invitation.resent', :'carol', 'carol@acme.test', NULL),
		('reopen', 'invitation.reopened', :'carol', 'carol@acme.test', NULL),
		('revoke', 'invitation.revoked', :'carol', 'carol@acme.test', 'hired elsewhere'),
		('deactivate', 'user.deactivated', :'bob', 'bob@acme.test', 'on leave'),
		('reactivate', 'user.reactivated', :'bob', 'bob@acme.test', NULL),
		('change role', 'user.role_changed', :'bob', 'bob@acme.test', 'team lead')) AS e (what, action, object, subject, reason);
SELECT results_eq($$SELECT count(*), min(actor_email), min(subject_email) FROM seen WHERE what = 'reset' AND action = 'password_reset.requested'$$,
	$$VALUES (1::bigint, 'admin@acme.test', 'bob@acme.test')$$, 'S0.15 one audit entry: reset triggered, with actor and subject');
SELECT results_eq($$SELECT count(*), min(actor_user_id::text), min(actor_email), min(object_id), min(subject_email) FROM seen WHERE what = 'accept' AND action = 'invitation.accepted'$$,
	format('VALUES (1::bigint, %L, %L, %L, %L)', :'dave', 'dave@acme.test', :'dave_invitation', 'dave@acme.test'),
	'S0.15 one audit entry: accept, by the person who accepted');
SELECT results_eq($$SELECT action, count(*) FROM seen WHERE what = 'link' GROUP BY action$$, $$VALUES ('invitation.link_shown', 1::bigint)$$,
	'S2.16 copying a link by hand is audited');
SELECT is_empty($$SELECT what, action FROM seen WHERE what IN ('invite', 'resend', 'reopen', 'revoke') GROUP BY what, action HAVING count(*) > 1
	UNION ALL SELECT what, 'several' FROM seen WHERE what IN ('invite', 'resend', 'reopen', 'revoke', 'reset', 'reactivate') GROUP BY what HAVING count(*) <> 1$$,
	'S0.15 an act that changes one thing leaves one entry in all');
SELECT is_empty(format('SELECT * FROM seen WHERE tenant_id <> %L OR NOT fresh OR transaction_id <> pg_current_xact_id()', :'acme_id')
	|| $$ AND action NOT LIKE 'account.%'$$, 'S0.15 every entry names tenant, time and transaction');
SELECT results_eq(format($$SELECT old, new FROM usermgmt.audit_event WHERE action = 'user.role_changed' AND object_id = %L$$, :'bob'),
	$$VALUES ('{"role": "member"}'::jsonb, '{"role": "admin"}'::jsonb)$$, 'S0.15 a change is kept as old and new values of what changed');
SELECT results_eq($$SELECT DISTINCT ip FROM usermgmt.audit_event WHERE action = 'invitation.accepted' AND subject_email = 'dave@acme.test'$$,
	$$VALUES ('192.0.2.7')$$, 'S0.15 the address of the caller is kept');
DO $$ BEGIN PERFORM pg_temp.record('operator', format('SELECT usermgmt.deactivate_user(%L)', pg_temp.id_of('bob@acme.test'))); END $$;
SELECT is((SELECT concat_ws(' ', count(*), min(actor_user_id::text), min(actor_db_role)) FROM usermgmt.audit_event
		WHERE action = 'user.deactivated' AND actor_user_id IS NULL), '1 ' || session_user, 'S0.15 for an operator without session the entry names the database role');
DO $$ BEGIN PERFORM usermgmt.reactivate_user(pg_temp.id_of('bob@acme.test')); END $$;
SELECT is_empty($$SELECT action, old, new FROM usermgmt.audit_event WHERE concat(old, new) ~ '(password_hash|token_hash|argon2id)'$$,
	'B1 the trail holds no hash');

-- A refused or undone act leaves nothing.
SELECT count(*) AS events FROM usermgmt.audit_event \gset
SELECT pg_temp.state_of(format('SELECT usermgmt.deactivate_user(%L)', :'owner')) AS x, pg_temp.try(format('SELECT usermgmt.change_role(%L, %L)', :'bob', 'member')) AS y \gset
SELECT is(:'x' || ' ' || :'y', 'UM031 ok', 'S0.15 one act was refused and one undone');
SELECT is((SELECT count(*) FROM usermgmt.audit_event), :events::bigint, 'S0.15 and neither left an entry');

-- Bare SQL reads the same (B6).
CREATE FUNCTION pg_temp.actions_of(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	before uuid[] := ARRAY(SELECT event_id FROM usermgmt.audit_event);
BEGIN
	EXECUTE statement;
	RETURN QUERY SELECT action FROM usermgmt.audit_event WHERE event_id <> ALL (before) ORDER BY event_id;
END $$;
SELECT pg_temp.invite('erin@acme.test') AS erin_invitation, pg_temp.invite('frank@acme.test') AS frank_invitation \gset
SELECT is((SELECT count(*) FROM pg_temp.actions_of(format('DELETE FROM usermgmt.membership WHERE user_id = %L', :'bob')) AS a WHERE a = 'user.removed'), 1::bigint,
	'B6 bare SQL is audited: a removal');
INSERT INTO usermgmt.account (user_id, email, canonical_email) VALUES (gen_random_uuid(), 'zed@acme.test', '') RETURNING user_id AS zed \gset
SELECT bag_eq(format('SELECT * FROM pg_temp.actions_of(%L)', format('INSERT INTO usermgmt.membership (tenant_id, user_id, role) VALUES (%L, %L, %L)', :'acme_id', :'zed', 'admin')),
	ARRAY['user.joined'], 'B6 bare SQL is audited: a new member');
DELETE FROM usermgmt.membership WHERE user_id = :'zed';
DELETE FROM person WHERE email = 'bob@acme.test';
SELECT pg_temp.join('bob@acme.test', 'admin') AS bob \gset
DELETE FROM usermgmt.session WHERE user_id = :'bob';
SELECT bag_eq(format('SELECT * FROM pg_temp.actions_of(%L)', statement), actions, 'B6 bare SQL is audited: ' || what)
	FROM (VALUES
		('a new role', format('UPDATE usermgmt.membership SET role = %L WHERE user_id = %L', 'member', :'bob'), ARRAY['user.role_changed']),
		('a deactivation', format('UPDATE usermgmt.membership SET status = %L WHERE user_id = %L', 'deactivated', :'bob'), ARRAY['user.deactivated']),
		('a reactivation', format('UPDATE usermgmt.membership SET status = %L WHERE user_id = %L', 'active', :'bob'), ARRAY['user.reactivated']),
		('a new role by MERGE', format('MERGE INTO usermgmt.membership AS m USING (VALUES (%L::uuid)) AS n (id) ON m.user_id = n.id WHEN MATCHED THEN UPDATE SET role = %L', :'bob', 'admin'),
			ARRAY['user.role_changed']),
		('a revoked invitation', format('UPDATE usermgmt.invitation SET state = %L, revoked_at = now() WHERE invitation_id = %L', 'revoked', :'erin_invitation'), ARRAY['invitation.revoked']),
		('a new role in an invitation', format('UPDATE usermgmt.invitation SET role = %L WHERE invitation_id = %L', 'admin', :'frank_invitation'), ARRAY['invitation.role_changed']),
		('a new name of a person', format('UPDATE usermgmt.account SET name = %L WHERE user_id = %L', 'Bob', :'bob'), ARRAY['account.updated']),
		('a new name of a tenant', format('UPDATE usermgmt.tenant SET name = %L WHERE tenant_id = %L', 'Acme Ltd', :'acme_id'), ARRAY['tenant.updated']),
		('a pause of mail', 'UPDATE usermgmt.installation SET mail_paused_at = now(), mail_pause_reason = ''test''', ARRAY['installation.updated']),
		('a template', 'UPDATE usermgmt.email_template SET subject = ''x'' WHERE kind = ''welcome'' AND locale = ''en''', ARRAY['email_template.updated']),
		('nothing, when nothing changed', format('UPDATE usermgmt.membership SET role = role WHERE user_id = %L', :'bob'), ARRAY[]::text[])
	) AS s (what, statement, actions);
SELECT bag_has(format('SELECT * FROM pg_temp.actions_of(%L)', format('UPDATE usermgmt.tenant SET suspended_at = now() WHERE tenant_id = %L', :'acme_id')),
	$$VALUES ('tenant.suspended')$$, 'B6 a suspension by bare UPDATE is audited');
SELECT bag_eq(format('SELECT * FROM pg_temp.actions_of(%L)', format('UPDATE usermgmt.tenant SET suspended_at = NULL WHERE tenant_id = %L', :'acme_id')),
	ARRAY['tenant.resumed'], 'B6 so is its end');
SELECT bag_eq(format('SELECT * FROM pg_temp.actions_of(%L)', format($$UPDATE usermgmt.membership SET role = 'admin' WHERE tenant_id = %L AND role = 'member'$$, :'acme_id')),
	format($$SELECT 'user.role_changed' FROM usermgmt.membership WHERE user_id = %L$$, :'dave'), 'B6 a bulk change leaves an entry for each row');
SELECT is((SELECT count(*) FROM pg_temp.actions_of('TRUNCATE usermgmt.session') AS a WHERE a = 'session.truncated'), 1::bigint, 'B6 TRUNCATE is audited');
SELECT is_empty(
	$$SELECT t.name FROM pg_temp.extension_table AS t WHERE t.name IN ('tenant', 'account', 'membership', 'invitation', 'session', 'password_reset')
		AND (SELECT count(DISTINCT b) FROM pg_trigger AS g, (VALUES (4), (8), (16), (32)) AS e (b)
			WHERE g.tgrelid = t.relation AND g.tgfoid = 'usermgmt.audit_change'::regproc AND g.tgtype & e.b > 0 AND g.tgenabled = 'O') < 4$$,
	'B6 INSERT, UPDATE, DELETE and TRUNCATE of every table of people have an armed audit trigger');

SET LOCAL work_mem = '64kB';
CREATE TEMPORARY TABLE spilled AS SELECT * FROM pg_temp.actions_of(format('INSERT INTO usermgmt.workspace (tenant_id, workspace_id, slug, name) SELECT %L, gen_random_uuid(), $$s$$ || n, $$Bulk$$ FROM generate_series(1, 5000) AS n', :'acme_id')) AS action;
SELECT results_eq('SELECT action, count(*) FROM spilled GROUP BY action', $$VALUES ('workspace.created', 5000::bigint)$$, 'B6 a change that does not fit into work_mem leaves one for each row too');
SELECT is((SELECT count(DISTINCT new ->> 'slug') FROM usermgmt.audit_event WHERE action = 'workspace.created'), 5000::bigint, 'B6 and each tells of its row');
RESET work_mem;

-- What an event shows of a row is what to_jsonb() shows, whatever the types.
CREATE TABLE tap_types (id integer, b boolean, s smallint, big bigint, t text, v varchar(9), c char(5), u uuid, d date, ts timestamp, tz timestamptz, j jsonb, nothing text);
CREATE TABLE tap_other_types (LIKE tap_types, n numeric, f float8, a text[], js json, bits bytea, x xid8, r int4range);
CREATE TRIGGER audit_insert AFTER INSERT ON tap_types REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.audit_change('tap_types', 'id');
CREATE TRIGGER audit_insert AFTER INSERT ON tap_other_types REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.audit_change('tap_types', 'id');
INSERT INTO tap_types
	SELECT n, n > 1, -n, 9223372036854775807, E'"\\\u00e4\n' || n, 'v', 'c', gen_random_uuid(), d, d, d, j, NULL
	FROM (VALUES (1, 'infinity', '5'), (2, '2026-02-28', '{"a": [1, {"b": null}], "": 1.50}'), (3, '0044-03-15 BC', '[]'), (4, '1999-12-31', '"text"'), (5, '2000-01-01', 'null')) AS e (n, d0, j0), LATERAL (SELECT d0::timestamptz AS d, j0::jsonb AS j) AS v;
INSERT INTO tap_other_types SELECT t.*, 'NaN', 'infinity', ARRAY['x', NULL], '{"k": 1, "k": 2}', '\x00ff', '5', '[1,3)' FROM tap_types AS t;
SELECT bag_eq($$SELECT new FROM usermgmt.audit_event WHERE action = 'tap_types.created'$$,
	$$SELECT to_jsonb(one) FROM tap_types AS one UNION ALL SELECT to_jsonb(other)::text::jsonb FROM tap_other_types AS other$$, 'R16 an event shows a row as to_jsonb() does');
CREATE FUNCTION pg_temp.mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.reason := 'marked'; RETURN NEW; END $$;
CREATE TRIGGER mark BEFORE INSERT ON usermgmt.audit_event FOR EACH ROW EXECUTE FUNCTION pg_temp.mark();
INSERT INTO tap_types (id) VALUES (6);
DROP TRIGGER mark ON usermgmt.audit_event;
SELECT is((SELECT reason FROM usermgmt.audit_event WHERE new ->> 'id' = '6'), 'marked', 'B6 a trigger that somebody puts on the trail fires');

-- Append-only.
SELECT throws_ok($$UPDATE usermgmt.audit_event SET reason = 'x'$$, '42501', NULL, 'B5 the trail refuses UPDATE');
SELECT throws_ok('UPDATE usermgmt.audit_event SET reason = reason WHERE false', '42501', NULL, 'B5 even one that changes nothing');
SELECT throws_ok('DELETE FROM usermgmt.audit_event', '42501', NULL, 'B5 the trail refuses DELETE');
SELECT throws_ok('TRUNCATE usermgmt.audit_event', '42501', NULL, 'B5 the trail refuses TRUNCATE');
SELECT throws_ok('TRUNCATE usermgmt.audit_event CASCADE', '42501', NULL, 'B5 the trail refuses TRUNCATE CASCADE');
SELECT throws_ok('MERGE INTO usermgmt.audit_event AS e USING (VALUES (1)) AS n ON true WHEN MATCHED THEN DELETE', '42501', NULL, 'B5 the trail refuses MERGE');
SELECT is_empty(format($$SELECT t, verb FROM unnest(ARRAY['audit_seal', 'audit_erasure']) AS t, unnest(ARRAY['UPDATE usermgmt.%%I SET event_id = NULL', 'DELETE FROM usermgmt.%%I', 'TRUNCATE usermgmt.%%I']) AS verb
		WHERE pg_temp.state_of(format(replace(verb, 'event_id', CASE t WHEN 'audit_seal' THEN 'root' ELSE 'event_id' END), t)) <> '42501'$$), 'B5 nor do seals and the records of erasures give way');
SELECT is_empty($$SELECT f FROM unnest(ARRAY['audit_seal()', 'audit_checkpoint()', 'audit_verify(text)', 'audit_verify_checkpoint(text)', 'erase_person(uuid,text)', 'audit_retire(timestamptz,text)', 'set_audit_sink(regclass)']) AS f,
		(VALUES ('application', false), ('relay', false), ('operator', true)) AS a (access, may)
		WHERE EXISTS (SELECT FROM usermgmt.access_privilege AS p WHERE p.access = a.access AND p.object_kind = 'function' AND p.object_name = split_part(f, '(', 1)) <> may$$,
	'B5 sealing, erasing and retiring are for operators');

-- Who may read (S0.16).
CREATE ROLE tap_audit_app;
CREATE ROLE tap_audit_operator;
CREATE ROLE tap_audit_auditor;
DO $$
BEGIN
	PERFORM usermgmt.grant_access('tap_audit_app', 'application');
	PERFORM usermgmt.grant_access('tap_audit_operator', 'operator');
	PERFORM usermgmt.grant_access('tap_audit_auditor', 'auditor');
	PERFORM pg_temp.sign_in('owner@acme.test', 'owner of owner@acme.test');
	PERFORM pg_temp.sign_in('admin@acme.test');
	PERFORM usermgmt.change_role(pg_temp.id_of('bob@acme.test'), 'member');
	PERFORM pg_temp.sign_in('bob@acme.test');
	PERFORM pg_temp.sign_in('eve@other.test');
END $$;
CREATE FUNCTION pg_temp.reads(address text, database_role name, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	PERFORM usermgmt.use_session((SELECT token FROM person WHERE email = address));
	answer := pg_temp.run_as(database_role, query);
	PERFORM usermgmt.end_use();
	RETURN answer;
END $$;
SELECT is(pg_temp.reads(address, 'tap_audit_app', 'SELECT count(*) FROM usermgmt.audit_trail'),
	(SELECT count(*)::text FROM usermgmt.audit_event WHERE tenant_id = t.tenant_id), 'S0.16 the trail shows ' || address || ' the whole tenant')
	FROM (VALUES ('owner@acme.test', :'acme_id'::uuid), ('admin@acme.test', :'acme_id'), ('eve@other.test', :'other_id')) AS t (address, tenant_id);
SELECT is(pg_temp.reads('eve@other.test', 'tap_audit_app', format('SELECT count(*) FROM usermgmt.audit_trail WHERE tenant_id IS DISTINCT FROM %L', :'other_id')), '0',
	'S0.16 and nothing of another tenant');
SELECT is(pg_temp.reads('bob@acme.test', 'tap_audit_app', 'SELECT count(*) FROM usermgmt.audit_trail'), '0', 'S0.16 no member reads the trail');
SELECT is(pg_temp.reads('bob@acme.test', 'tap_audit_operator', 'SELECT count(*) FROM usermgmt.audit_trail'), '0', 'S0.16 not even on an operator''s connection');
SELECT is(pg_temp.run_as('tap_audit_app', 'SELECT count(*) FROM usermgmt.audit_trail'), '0', 'S0.16 nobody reads the trail without a session');
SELECT is(pg_temp.reads('admin@acme.test', 'tap_audit_app', 'SELECT count(*) FROM usermgmt.audit_event'), 'error 42501', 'S0.16 the application reads no base table');
SELECT is(pg_temp.reads('admin@acme.test', 'tap_audit_app', 'SELECT count(*) FROM usermgmt.events_since()'), 'error 42501', 'S0.16 nor the feed of all tenants');
SELECT is(pg_temp.run_as('tap_audit_auditor', 'SELECT count(*) FROM usermgmt.audit_trail'), (SELECT count(*)::text FROM usermgmt.audit_event),
	'S0.16 an auditor reads the trail of all tenants');
SELECT is(pg_temp.run_as('tap_audit_operator', 'SELECT count(*) FROM usermgmt.audit_trail'), (SELECT count(*)::text FROM usermgmt.audit_event WHERE tenant_id = :'acme_id'),
	'S0.16 an operator reads the tenant that is selected');
SELECT is_empty($$SELECT r, s FROM unnest(ARRAY['tap_audit_app', 'tap_audit_operator', 'tap_audit_auditor']) AS r,
		unnest(ARRAY['INSERT INTO usermgmt.audit_event DEFAULT VALUES', 'UPDATE usermgmt.audit_event SET reason = NULL', 'DELETE FROM usermgmt.audit_event',
			'TRUNCATE usermgmt.audit_event']) AS s WHERE pg_temp.run_as(r, s || CASE WHEN s LIKE 'INS%' THEN ' RETURNING 1' ELSE '' END) <> 'error 42501'$$,
	'S0.16 no kind of access writes the trail');
DO $$ BEGIN PERFORM usermgmt.deactivate_user(pg_temp.id_of('admin@acme.test')); END $$;
SELECT throws_ok($$SELECT pg_temp.reads('admin@acme.test', 'tap_audit_app', 'SELECT 1')$$, 'UM001', NULL, 'S0.16 a deactivated admin reads nothing');

-- Events for outside listeners.
SELECT is(current_setting('usermgmt.notify_events') || current_setting('usermgmt.log_events'), 'offoff', 'S2.12 S2.13 NOTIFY and log lines are off by default');
SELECT results_eq($$SELECT count(*) FROM usermgmt.audit_event WHERE action = 'invitation.created' AND subject_email = 'dave@acme.test'
	UNION ALL SELECT count(*) FROM usermgmt.audit_event WHERE action = 'invitation.accepted' AND subject_email = 'dave@acme.test'$$,
	'VALUES (1::bigint), (1)', 'S2.12 an invitation leaves an event when created and one when accepted');
SELECT is_empty('SELECT * FROM usermgmt.events_since()', 'S2.12 the feed shows no event of a running transaction');
INSERT INTO usermgmt.audit_event (tenant_id, event_id, occurred_at, actor_db_role, action, object_type, transaction_id, epoch)
	SELECT :'acme_id', ('00000000-0000-7000-8000-00000000000' || n)::uuid, now(), 'past', 'event.' || n, 'test', xid::text::xid8, 0
	FROM (VALUES (1, 30), (2, 10), (3, 20), (4, 10)) AS past (n, xid);
SELECT results_eq('SELECT action FROM usermgmt.events_since()', $$VALUES ('event.2'), ('event.4'), ('event.3'), ('event.1')$$,
	'S2.12 the feed goes in the order of transactions, then of events');
SELECT results_eq($$SELECT action FROM usermgmt.events_since('00000000-0000-7000-8000-000000000004')$$, $$VALUES ('event.3'), ('event.1')$$,
	'S2.12 it goes on after the given event');
SELECT results_eq('SELECT action FROM usermgmt.events_since(max_events => 3)', $$VALUES ('event.2'), ('event.4'), ('event.3')$$, 'S2.12 it gives at most so many');
SELECT results_eq('SELECT action FROM usermgmt.events_since(NULL, NULL)', $$VALUES ('event.2'), ('event.4'), ('event.3'), ('event.1')$$, 'S2.12 NULL means the defaults');
SELECT is_empty($$SELECT * FROM usermgmt.events_since('00000000-0000-7000-8000-000000000001')$$, 'S2.12 after the last event there is none');
SELECT is(pg_temp.run_as('tap_audit_auditor', 'SELECT count(*) FROM usermgmt.events_since()'), '4', 'S2.12 an auditor reads the feed');
SET LOCAL usermgmt.notify_events = on;
SELECT lives_ok($$SELECT pg_temp.invite('gina@acme.test')$$, 'S2.12 inviting works with NOTIFY of events');

-- An address is erased where it stands, not where it is part of a longer one.
SELECT usermgmt.use_tenant('acme') AS x, pg_temp.join('n@erasing.test') AS leaver, pg_temp.join('ann@erasing.test') AS stays, pg_temp.join('a.n@erasing.test') AS dotted, pg_temp.join('n@erasing.test.example') AS longer \gset
SELECT FROM unnest(ARRAY[:'stays', :'dotted', :'longer']::uuid[]) AS u, usermgmt.change_role(u, 'admin', (SELECT email FROM person WHERE user_id = u));
SELECT FROM usermgmt.change_role(:'stays', 'member', 'see <N@erasing.test>, "n@erasing.test".');
SELECT FROM usermgmt.change_role(:'stays', 'admin', 'n@erasing.test');
SELECT count(*) AS others FROM usermgmt.audit_event WHERE tenant_id = :'acme_id' AND (subject_email IN ('ann@erasing.test', 'a.n@erasing.test', 'n@erasing.test.example') OR reason IN ('ann@erasing.test', 'a.n@erasing.test', 'n@erasing.test.example')) \gset
SELECT FROM usermgmt.remove_user(:'leaver', confirm => true);
SELECT cmp_ok(usermgmt.erase_person(:'leaver'), '>', 5, 'B16 a person with a short address is erased');
SELECT is((SELECT count(*) FROM usermgmt.audit_event WHERE tenant_id = :'acme_id' AND (subject_email IN ('ann@erasing.test', 'a.n@erasing.test', 'n@erasing.test.example') OR reason IN ('ann@erasing.test', 'a.n@erasing.test', 'n@erasing.test.example'))), :others::bigint,
	'B16 and nobody else, whose address holds it');
SELECT results_eq($$SELECT usermgmt.names_address('To N@erasing.test.', l) FROM (VALUES ('{n@erasing.test}'::text[]), ('{NULL,n@erasing.test}'), ('{NULL}'), ('{}')) AS v (l)$$, $$VALUES (true), (true), (false), (false)$$, 'B16 a null among the addresses is nobody''s');
SELECT results_eq(format('SELECT reason FROM usermgmt.audit_event WHERE action = ''user.role_changed'' AND tenant_id = %L AND object_id = %L ORDER BY event_id', :'acme_id', :'stays'), $$VALUES ('ann@erasing.test'), ('erased'), ('erased')$$, 'B16 where it stands alone it is erased');

SELECT * FROM finish();
ROLLBACK;
