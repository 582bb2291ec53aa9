-- The lists of people, their numbers, the permission matrix and the JSON forms,
-- as an application's role sees them.
BEGIN;
\ir helpers.psql
SELECT no_plan();
CREATE ROLE tap_lists_app;
CREATE ROLE tap_lists_operator;
SELECT usermgmt.grant_access('tap_lists_app', 'application') AS x, usermgmt.grant_access('tap_lists_operator', 'operator') AS y \gset
GRANT SELECT ON person TO tap_lists_app, tap_lists_operator;

-- Before any tenant is selected, an operator is nobody.
SELECT is(concat(usermgmt.has_permission('manage_users'), pg_temp.try('SELECT usermgmt.users_json()'), pg_temp.try('SELECT usermgmt.team_json()'), pg_temp.try('SELECT usermgmt.invitation_json(gen_random_uuid())')), 'fUM001UM001UM001',
	'S4.18 an operator who has selected no tenant has no permission and no list');
SELECT is_empty('SELECT 1 FROM usermgmt.members UNION ALL SELECT 1 FROM usermgmt.people UNION ALL SELECT 1 FROM usermgmt.member_statistics', 'S4.18 nor rows in any view');

SELECT pg_temp.tenant('other') AS other_id, pg_temp.join('eve@other.test', 'admin') AS eve, pg_temp.join('both@acme.test', 'admin') AS both_id, pg_temp.invite('open@other.test') AS other_invitation \gset
SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('admin@acme.test', 'admin') AS admin, pg_temp.join('Bob.B@acme.test') AS bob, pg_temp.join('carol@acme.test') AS carol, pg_temp.join('dan@acme.test') AS dan \gset
SELECT pg_temp.id_of('owner@acme.test') AS owner \gset

-- What this person's session sees through the application's role.
CREATE FUNCTION pg_temp.see(who text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	PERFORM usermgmt.end_use();
	IF who <> 'nobody' THEN
		PERFORM usermgmt.use_session((SELECT token FROM person WHERE email = who));
	END IF;
	answer := pg_temp.run_as('tap_lists_app', statement);
	PERFORM usermgmt.end_use();
	RETURN answer;
END $$;
-- The same with a session that was bound and has ended meanwhile.
CREATE FUNCTION pg_temp.see_late(who text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
	late text := (SELECT session_token FROM usermgmt.log_in(who, 'secret of ' || who, 'acme'));
BEGIN
	PERFORM usermgmt.use_session(late);
	UPDATE usermgmt.session SET state = 'revoked', ended_at = now() WHERE session_id = usermgmt.current_session_id();
	answer := pg_temp.run_as('tap_lists_app', statement);
	PERFORM usermgmt.end_use();
	RETURN answer;
END $$;
CREATE FUNCTION pg_temp.keys(object jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(key, ' ' ORDER BY key COLLATE "C") FROM jsonb_object_keys(object) AS key
$$;

-- A tenant with somebody in every state.
SELECT usermgmt.create_workspace('west', 'West') IS NULL AS x, usermgmt.create_workspace('east', 'East') IS NULL AS y, usermgmt.create_workspace('gone', 'Gone') IS NULL AS z \gset
SELECT workspace_id AS west FROM usermgmt.workspaces WHERE slug = 'west' \gset
SELECT workspace_id AS gone FROM usermgmt.workspaces WHERE slug = 'gone' \gset
SELECT usermgmt.set_workspace_member(:'west', :'bob', 'viewer') IS NULL AS x, usermgmt.set_workspace_member(:'gone', :'bob') IS NULL AS y, usermgmt.set_workspace_member(:'west', :'carol', 'admin') IS NULL AS z \gset
SELECT usermgmt.archive_workspace(:'gone') IS NULL AS x \gset
SELECT pg_temp.act('carol@acme.test', $$SELECT name FROM usermgmt.update_profile('Carol "CC" O''Neill \ <b>&amp; Zoë 👩‍🚀 ‏שלום')$$) AS carol_name \gset
SELECT usermgmt.deactivate_user(:'dan', 'on leave') IS NULL AS x \gset
SELECT usermgmt.set_metadata('membership', :'carol', '{"desk": 7}') IS NULL AS x \gset
UPDATE usermgmt.membership SET joined_at = TIMESTAMPTZ '2024-02-29 23:59:59.123456Z' + r.n * INTERVAL '1 day', last_login_at = now() - r.ago - INTERVAL '1 hour', last_seen_at = now() - r.ago
	FROM (VALUES ('owner@acme.test', 0, INTERVAL '1 hour'), ('admin@acme.test', 1, '2 days'), ('Bob.B@acme.test', 2, '40 days'), ('carol@acme.test', 2, '29 days'), ('dan@acme.test', 3, '3 days')) AS r (who, n, ago)
	WHERE tenant_id = :'acme_id' AND user_id = pg_temp.id_of(r.who);
INSERT INTO usermgmt.account (user_id, email, canonical_email) VALUES ('00000000-0000-7000-8000-00000000abcd', 'never@acme.test', '');
INSERT INTO usermgmt.membership (tenant_id, user_id, role) VALUES (:'acme_id', '00000000-0000-7000-8000-00000000abcd', 'member');
SELECT invitation_id AS open_id FROM usermgmt.invite_user('Open@acme.test', 'admin', '{"east": "viewer"}', name => 'Open Oona') \gset
SELECT pg_temp.invite('expired@acme.test') AS expired_id, pg_temp.invite('revoked@acme.test') AS revoked_id, pg_temp.invite('declined@acme.test') AS declined_id \gset
UPDATE usermgmt.invitation SET created_at = now() - INTERVAL '8 days', expires_at = now() - INTERVAL '1 day' WHERE invitation_id = :'expired_id';
SELECT usermgmt.revoke_invitation(:'revoked_id') IS NULL AS x, usermgmt.decline_invitation(pg_temp.token_of(:'declined_id')) IS NULL AS y \gset

-- People: members and open invitations together (S1.9).
CREATE TEMPORARY TABLE everybody AS VALUES
	('Bob.B@acme.test', NULL, 'member', 'active', 'inactive', true, '{"west": "viewer"}'::jsonb), ('admin@acme.test', NULL, 'admin', 'active', 'active', true, '{}'),
	('carol@acme.test', :'carol_name', 'member', 'active', 'active', true, '{"west": "admin"}'), ('dan@acme.test', NULL, 'member', 'deactivated', 'active', true, '{}'),
	('never@acme.test', NULL, 'member', 'active', 'never_logged_in', true, '{}'), ('owner@acme.test', NULL, 'owner', 'active', 'active', true, '{}'),
	('Open@acme.test', 'Open Oona', 'admin', 'invited', NULL, false, '{"east": "viewer"}'), ('expired@acme.test', NULL, 'member', 'expired', NULL, false, '{}');
GRANT SELECT ON everybody TO tap_lists_app;
CREATE FUNCTION pg_temp.people_differ() RETURNS text LANGUAGE sql AS $$
	SELECT json_agg(d)::text FROM ((SELECT email, name, role, status, activity, user_id IS NOT NULL, workspaces FROM usermgmt.people EXCEPT ALL TABLE everybody)
		UNION ALL (TABLE everybody EXCEPT ALL SELECT email, name, role, status, activity, user_id IS NOT NULL, workspaces FROM usermgmt.people)) AS d
$$;
SELECT is(pg_temp.see(who, 'SELECT pg_temp.people_differ()'), NULL, 'S1.9 S1.1 S3.7 invited and active people are listed together with role and state, for ' || who) FROM unnest(ARRAY['admin@acme.test', 'owner@acme.test']) AS who;
SELECT is(pg_temp.people_differ(), NULL, 'S1.9 and for an operator');
SELECT is(pg_temp.see('admin@acme.test', 'SELECT bool_and((user_id IS NULL) <> (invitation_id IS NULL) AND tenant_id = usermgmt.current_tenant_id()) FROM usermgmt.people'), 'true', 'S1.9 each is either a member or an invitation of this tenant');
SELECT is(pg_temp.see('admin@acme.test', $$SELECT json_agg(concat_ws(' ', email, since, last_login_at, last_active) ORDER BY email) FROM usermgmt.people$$)::jsonb,
	(SELECT jsonb_agg(r ORDER BY email) FROM (SELECT email, concat_ws(' ', email, joined_at, last_login_at, last_active) AS r FROM usermgmt.members UNION ALL SELECT email, concat_ws(' ', email, created_at) FROM usermgmt.pending_invitations) AS u),
	'S1.9 S1.1 with the days they joined or were invited, and the members'' last activity');
SELECT is(pg_temp.see(who, 'SELECT count(*) FROM usermgmt.people'), n, 'S3.1 S4.8 people seen by ' || who) FROM (VALUES ('Bob.B@acme.test', '0'), ('nobody', '0'), ('eve@other.test', '4')) AS v (who, n);

-- Members.
SELECT is(pg_temp.see('admin@acme.test', 'SELECT json_agg(m ORDER BY m.user_id) FROM usermgmt.members AS m')::jsonb, (SELECT jsonb_agg(m ORDER BY m.user_id) FROM usermgmt.member_detail AS m WHERE tenant_id = :'acme_id'),
	'S3.7 an admin sees every member in full, deactivated ones included');
SELECT is(pg_temp.see('admin@acme.test', $$SELECT concat_ws(' ', role, is_primary_owner, status, activity, joined_at AT TIME ZONE 'UTC', last_active, deactivation_reason, deactivated_by IS NULL, workspaces, metadata) FROM usermgmt.members WHERE user_id = $$ || quote_literal(:'carol')),
	'member f active active 2024-03-02 23:59:59.123456 29 days ago t {"west": "admin"} {"desk": 7}', 'S3.7 S4.11 such a row has role, status, days, places in open workspaces and metadata');
SELECT is(pg_temp.see('admin@acme.test', $$SELECT string_agg(email, ' ' ORDER BY email) FROM usermgmt.members WHERE role <> 'member' AND activity = 'active'$$), 'admin@acme.test owner@acme.test', 'S3.25 it can be seen whether admins are themselves active');
SELECT is(pg_temp.see('admin@acme.test', $$SELECT string_agg(email, ' ') FROM usermgmt.members WHERE status = 'active' AND activity = 'inactive'$$), 'Bob.B@acme.test', 'S3.24 inactive people can be listed');
SELECT is(pg_temp.see('admin@acme.test', $$SELECT string_agg(email || ':' || last_active, ' ' ORDER BY email COLLATE "C") FROM usermgmt.members WHERE last_active IS NOT NULL$$),
	'Bob.B@acme.test:1 month ago admin@acme.test:2 days ago carol@acme.test:29 days ago dan@acme.test:3 days ago owner@acme.test:1 hour ago', 'S3.23 last active in words');
SELECT is(pg_temp.see_late('admin@acme.test', 'SELECT (SELECT count(*) FROM usermgmt.people) + (SELECT count(*) FROM usermgmt.members) + (SELECT count(*) FROM usermgmt.member_statistics)'), '0', 'B3 an ended session sees none');

-- Members for ordinary members.
SELECT is(pg_temp.see(who, 'SELECT count(*) FROM usermgmt.members'), '0', 'S3.1 S3.6 by default an ordinary member sees nobody, not even themselves: ' || who) FROM unnest(ARRAY['Bob.B@acme.test', 'carol@acme.test', 'nobody']) AS who;
SELECT is(pg_temp.see('Bob.B@acme.test', $$SELECT usermgmt.set_tenant_setting('members_see_members', 'on')$$), 'error 42501', 'S3.6 nor makes themselves see');
SELECT is(pg_temp.see('admin@acme.test', $$SELECT usermgmt.set_tenant_setting('members_see_members', 'on')$$), '', 'an admin lets the members see each other');
SELECT is(pg_temp.see('Bob.B@acme.test', $$SELECT string_agg(email, ' ' ORDER BY email COLLATE "C") FROM usermgmt.members$$), 'Bob.B@acme.test admin@acme.test carol@acme.test never@acme.test owner@acme.test', 'they see each other, but nobody who is deactivated');
SELECT is(pg_temp.see('Bob.B@acme.test', $$SELECT pg_temp.keys(jsonb_object_agg(key, 1)) FROM usermgmt.members AS m, jsonb_each(to_jsonb(m)) WHERE value <> 'null' AND user_id <> usermgmt.current_user_id()$$),
	'email is_primary_owner joined_at name role status tenant_id user_id', 'of the others they see who they are and since when, and none of their doings');
SELECT is(pg_temp.see('carol@acme.test', 'SELECT to_jsonb(m) FROM usermgmt.members AS m WHERE user_id = usermgmt.current_user_id()')::jsonb, (SELECT to_jsonb(m) FROM usermgmt.members AS m WHERE user_id = :'carol'), 'of themselves everything');
SELECT is(pg_temp.see('Bob.B@acme.test', format('SELECT count(*) FROM usermgmt.members WHERE %s', q)), '0', 'what is hidden can not be found by asking for it: ' || q)
	FROM unnest(ARRAY[$$activity <> 'inactive'$$, $$metadata ->> 'desk' = '7'$$, $$workspaces ? 'west' AND role <> 'member'$$, $$status = 'deactivated'$$, $$last_login_at > now() - INTERVAL '39 days'$$, $$deactivation_reason IS NOT NULL$$]) AS q;
SELECT is(pg_temp.see('Bob.B@acme.test', 'SELECT (SELECT count(*) FROM usermgmt.people) + (SELECT count(*) FROM usermgmt.member_statistics) + (SELECT count(*) FROM usermgmt.invitations)') || pg_temp.see('Bob.B@acme.test', 'SELECT usermgmt.users_json()') || pg_temp.see('Bob.B@acme.test', 'SELECT usermgmt.team_json()'),
	'0error 42501error 42501', 'S3.1 the other lists stay closed to them');
SELECT is(pg_temp.see('eve@other.test', $$SELECT count(*) FROM usermgmt.members WHERE tenant_id <> usermgmt.current_tenant_id()$$) || pg_temp.see('nobody', 'SELECT count(*) FROM usermgmt.members'), '00', 'S4.8 another tenant''s admin sees none of them, nor does nobody');
SELECT is(pg_temp.see('admin@acme.test', 'SELECT count(*) FROM usermgmt.members'), '6', 'an admin sees all as before');
SELECT usermgmt.reset_tenant_setting('members_see_members') AS x \gset
SET LOCAL usermgmt.members_see_members = on;
SELECT is(pg_temp.see('Bob.B@acme.test', 'SELECT count(*) FROM usermgmt.members'), '5', 'the server can let all members see');
SELECT usermgmt.set_tenant_setting('members_see_members', 'off') AS x \gset
SELECT is(pg_temp.see('Bob.B@acme.test', 'SELECT count(*) FROM usermgmt.members'), '0', 'and a tenant forbid it');
RESET usermgmt.members_see_members;
SELECT usermgmt.set_tenant_setting('members_see_members', 'on') AS x \gset

-- A cheap function in a query is shown no row that the caller may not see.
CREATE TEMPORARY TABLE shown (value text);
GRANT INSERT ON shown TO PUBLIC;
CREATE FUNCTION pg_temp.spy(value anyelement) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$
BEGIN
	INSERT INTO shown VALUES (value::text);
	RETURN true;
END $$;
CREATE FUNCTION pg_temp.spied(who text, relation text, expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	seen text := pg_temp.see(who, format('SELECT count(*) FROM usermgmt.%s WHERE pg_temp.spy(%s)', relation, expression));
	leaked text := (SELECT count(*) FROM shown);
BEGIN
	DELETE FROM shown;
	RETURN concat_ws(' of ', seen, leaked);
END $$;
CREATE TEMPORARY TABLE glance AS SELECT who, v AS relation, e AS expression, coalesce(n, pg_temp.see(who, 'SELECT count(*) FROM usermgmt.' || v)) AS seen
	FROM (VALUES ('Bob.B@acme.test', 'members', 'email', '5'), ('admin@acme.test', 'members', 'email', '6'), ('nobody', 'members', 'email', '0'), ('Bob.B@acme.test', 'people', 'email', '0'), ('admin@acme.test', 'people', 'email', '8'),
		('eve@other.test', 'people', 'email', '4'), ('nobody', 'people', 'email', '0'), ('Bob.B@acme.test', 'invitations', 'email', '0'), ('eve@other.test', 'invitations', 'email', NULL), ('eve@other.test', 'pending_invitations', 'email', '1'),
		('eve@other.test', 'audit_trail', 'subject_email', NULL), ('Bob.B@acme.test', 'audit_trail', 'action', '0'), ('eve@other.test', 'tenants', 'name', '1'), ('nobody', 'tenants', 'name', '0'), ('Bob.B@acme.test', 'workspaces', 'slug', '2'),
		('eve@other.test', 'workspaces', 'slug', '0'), ('carol@acme.test', 'workspace_members', 'email', '2'), ('eve@other.test', 'workspace_members', 'email', '0'), ('eve@other.test', 'sessions', 'email', NULL), ('carol@acme.test', 'my_sessions', 'user_agent', NULL)) AS c (who, v, e, n)
	WHERE to_regclass('usermgmt.' || v) IS NOT NULL;
CREATE FUNCTION pg_temp.glances(plan text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT is(pg_temp.spied(who, relation, expression), seen || ' of ' || seen,
		'R10 S4.8 no row that ' || relation || ' hides is shown to a function of ' || who || ', ' || plan) FROM glance
$$;
-- BUG: PostgreSQL 15 pulls up a view that is a bare UNION ALL, security_barrier or not.
SELECT pg_temp.glances('as planned');
SELECT is(pg_temp.see('eve@other.test', $$SELECT count(*) FROM usermgmt.people WHERE CASE WHEN email LIKE 'owner@acme.test' THEN email::integer END = 0$$), '0', 'R10 S4.8 nor to a cast, whose error would tell that it is there');
SET LOCAL enable_indexscan = off;
SET LOCAL enable_indexonlyscan = off;
SET LOCAL enable_bitmapscan = off;
SELECT pg_temp.glances('by sequential scans');
RESET enable_indexscan;
RESET enable_indexonlyscan;
RESET enable_bitmapscan;

-- Numbers (S3.10), from people made by hand.
SELECT pg_temp.tenant('stat') AS stat_id \gset
CREATE TEMPORARY TABLE staff AS SELECT ('00000000-0000-7000-8000-0000000057' || lpad(to_hex(row_number() OVER ()), 2, '0'))::uuid AS id, * FROM (VALUES ('o2', 'owner', 'active', INTERVAL '40 days'),
	('a1', 'admin', 'active', '1 day'), ('a2', 'admin', 'active', NULL), ('a3', 'admin', 'deactivated', '1 day'),
	('m1', 'member', 'active', '0'), ('m2', 'member', 'active', '1 day'), ('m3', 'member', 'active', '29 days'), ('m4', 'member', 'active', '29 days 23:00'), ('m5', 'member', 'active', '30 days'), ('m6', 'member', 'active', '3 years'),
	('m7', 'member', 'active', NULL), ('m8', 'member', 'active', NULL), ('m9', 'member', 'deactivated', NULL), ('m10', 'member', 'deactivated', '40 days')) AS v (name, role, status, ago);
INSERT INTO usermgmt.account (user_id, email, canonical_email) SELECT id, name || '@stat.test', '' FROM staff;
INSERT INTO usermgmt.membership (tenant_id, user_id, role, status, last_login_at) SELECT :'stat_id', id, role, status, now() - ago FROM staff;
SELECT pg_temp.invite('i1@stat.test') AS i1, pg_temp.invite('i2@stat.test') AS i2, pg_temp.invite('i3@stat.test') AS i3, pg_temp.invite('i4@stat.test') AS i4, pg_temp.invite('i5@stat.test') AS i5 \gset
UPDATE usermgmt.invitation SET expires_at = now() - INTERVAL '1 day' WHERE invitation_id = :'i3';
SELECT usermgmt.revoke_invitation(:'i4') IS NULL AS x, usermgmt.decline_invitation(pg_temp.token_of(:'i5')) IS NULL AS y \gset
CREATE FUNCTION pg_temp.session_of(who text, at timestamptz, session_state text DEFAULT 'open', tenant text DEFAULT 'stat') RETURNS void LANGUAGE sql AS $$
	INSERT INTO usermgmt.session (session_id, tenant_id, user_id, token_hash, role, email, state, created_at, last_used_at, expires_at)
		SELECT gen_random_uuid(), t.tenant_id, s.id, sha256(gen_random_uuid()::text::bytea), s.role, s.name || '@stat.test', 'open', at, at, at + INTERVAL '8 hours'
		FROM staff AS s, usermgmt.tenant AS t WHERE s.name = who AND t.slug = tenant;
	UPDATE usermgmt.session SET state = session_state, ended_at = at
		WHERE session_state <> 'open' AND state = 'open' AND last_used_at = at AND user_id = (SELECT id FROM staff WHERE name = who)
$$;
CREATE FUNCTION pg_temp.numbers(who text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT pg_temp.see(who, 'SELECT to_jsonb(s) FROM usermgmt.member_statistics AS s')::jsonb
$$;
SELECT is(pg_temp.numbers('owner@stat.test'), '{"total": 15, "owners": 2, "admins": 3, "members": 10, "owners_and_admins": 5, "active": 6, "inactive": 3, "never_logged_in": 3, "deactivated": 3, "pending_invitations": 3, "licensed_now": 1, "seats_taken": 14, "seat_limit": null}',
	'S3.10 S1.2 S3.28 every number of members, by role, activity and status, and of seats');
SELECT results_eq('SELECT to_jsonb(s) FROM usermgmt.member_statistics AS s', $$SELECT pg_temp.numbers('owner@stat.test')$$, 'S3.10 an operator sees the same');
SELECT is(pg_temp.numbers('owner@acme.test') ->> 'total', '6', 'S4.8 another tenant has its own');
SELECT is((SELECT count(*) FROM usermgmt.member_statistics), 1::bigint, 'S3.10 in one row');
SELECT usermgmt.set_tenant_setting('seat_limit', '15') AS x \gset
SELECT is(concat_ws(' ', s.seats_taken, s.seat_limit, c.members + c.invitations, usermgmt.seat_is_free()), '14 15 14 t', 'S3.39 the seats taken are the ones that count against the limit') FROM usermgmt.member_statistics AS s, usermgmt.seat_count AS c WHERE c.tenant_id = :'stat_id';
SELECT pg_temp.invite('i6@stat.test') AS i6 \gset
SELECT is(concat_ws(' ', seats_taken, seat_limit, usermgmt.seat_is_free(), pg_temp.try($$SELECT usermgmt.invite_user('i7@stat.test')$$)), '15 15 f UM035', 'S3.39 all taken, nobody is invited') FROM usermgmt.member_statistics;
SELECT usermgmt.reset_tenant_setting('seat_limit') AS x \gset
SET LOCAL usermgmt.seat_limit = 99;
SELECT is(seat_limit, 99, 'S3.39 the limit of the server is shown where there is no own one') FROM usermgmt.member_statistics;
RESET usermgmt.seat_limit;
UPDATE usermgmt.tenant SET settings = '{"inactive_after": "3459600"}' WHERE tenant_id = :'stat_id';
SELECT is(concat_ws(' ', active, inactive), '8 1', 'S3.8 the threshold of the tenant counts') FROM usermgmt.member_statistics;
UPDATE usermgmt.tenant SET settings = '{}' WHERE tenant_id = :'stat_id';

-- Open invitations are kept by the day on which they expire, and of this day looked at.
CREATE FUNCTION pg_temp.expiring(after interval) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	UPDATE usermgmt.invitation SET expires_at = statement_timestamp() + after WHERE email = 'i1@stat.test';
	RETURN (SELECT concat_ws(' ', pending_invitations, seats_taken) FROM usermgmt.member_statistics);
END $$;
CREATE FUNCTION pg_temp.expiring_all() RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(pg_temp.expiring(after), ', ' ORDER BY n) FROM unnest('{-3000 days, -3 days, -1 second, 0, 1 microsecond, 1 day, 3000 days, infinity}'::text[]) WITH ORDINALITY AS x (e, n),
		LATERAL (SELECT CASE WHEN e = 'infinity' THEN INTERVAL '200000 years' ELSE e::interval END AS after) AS a
$$;
SELECT is(pg_temp.expiring_all(), '4 14, 4 14, 4 14, 4 14, 4 15, 4 15, 4 15, 4 15', 'S3.39 an invitation takes a seat until the microsecond at which it expires');
SELECT pg_temp.expiring('-3000 days') AS x, usermgmt.run_maintenance() AS y \gset
SELECT is(string_agg(n || CASE WHEN expires_on = '-infinity' THEN ' long ago' ELSE '' END, ', ' ORDER BY expires_on), '1 long ago, 1, 2', 'S3.10 maintenance folds the counts, and those of days long past into one')
	FROM usermgmt.invitation_count WHERE tenant_id = :'stat_id';
SELECT is(pg_temp.expiring_all(), '4 14, 4 14, 4 14, 4 14, 4 15, 4 15, 4 15, 4 15', 'S3.39 and they stay what they were');
SELECT throws_ok(format($$UPDATE usermgmt.invitation SET tenant_id = %L WHERE email = 'i1@stat.test'$$, :'other_id'), 'UM036', NULL, 'S4.8 an invitation stays in its tenant');
SELECT pg_temp.expiring('1 day') AS x \gset

-- The boundary of thirty days, to the microsecond (S3.8); one statement sees one time.
CREATE FUNCTION pg_temp.after(since interval) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	UPDATE usermgmt.membership SET last_login_at = statement_timestamp() - since WHERE user_id = (SELECT id FROM staff WHERE name = 'm1');
	RETURN concat_ws(' ', (SELECT m.activity FROM usermgmt.members AS m JOIN staff ON id = m.user_id WHERE staff.name = 'm1'), (SELECT p.activity FROM usermgmt.people AS p WHERE p.email = 'm1@stat.test'),
		(SELECT u ->> 'status' FROM jsonb_array_elements(usermgmt.users_json() #> '{data,users}') AS u WHERE u ->> 'email' = 'm1@stat.test'), (SELECT s.active || '+' || s.inactive FROM usermgmt.member_statistics AS s));
END $$;
SELECT is(pg_temp.after(since), answer, 'S3.8 after ' || since || ' it is ' || answer)
	FROM (VALUES (INTERVAL '30 days' - INTERVAL '1 second', 'active active active 6+3'), (INTERVAL '720 hours' - INTERVAL '1 microsecond', 'active active active 6+3'), (INTERVAL '720 hours', 'inactive inactive inactive 5+4'),
		(INTERVAL '720 hours' + INTERVAL '1 second', 'inactive inactive inactive 5+4')) AS v (since, answer);
SELECT is(pg_temp.after(NULL), 'never_logged_in never_logged_in never_logged_in 5+3', 'S3.9 who has had no session ever has never logged in');
CREATE FUNCTION pg_temp.wrong_after(at timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	UPDATE usermgmt.membership SET last_login_at = at WHERE user_id = (SELECT id FROM staff WHERE name = 'm1');
	RETURN (SELECT count(*) FROM usermgmt.check() WHERE problem = 'members are counted wrong');
END $$;
SELECT is(pg_temp.wrong_after(at), 0::bigint, 'S3.10 check() counts as the statistics do, also a last log-in at ' || at) FROM unnest('{-infinity,infinity,2026-01-01 00:00:00 UTC}'::timestamptz[]) AS at;
SELECT pg_temp.after('0') AS x \gset

-- Licenses (S3.38); the owner who looked above used one.
DELETE FROM usermgmt.session WHERE tenant_id = :'stat_id';
SELECT is(licensed_now, 0, 'S3.38 without sessions no license is used') FROM usermgmt.member_statistics;
SELECT pg_temp.session_of('m1', now()), pg_temp.session_of('m1', now() - INTERVAL '3 hours'), pg_temp.session_of('m1', now() - INTERVAL '23 hours', 'ended') \gset x
SELECT is(licensed_now, 1, 'S3.38 three sessions of one person are one license') FROM usermgmt.member_statistics;
SELECT pg_temp.session_of('a3', now()) \gset x
SELECT is(licensed_now, 1, 'S3.38 a deactivated person uses none') FROM usermgmt.member_statistics;
SELECT pg_temp.session_of('m4', now() - INTERVAL '25 hours') \gset x
SELECT is(licensed_now, 1, 'S3.38 nor does a session of the day before') FROM usermgmt.member_statistics;
INSERT INTO usermgmt.membership (tenant_id, user_id, role) SELECT :'other_id', id, 'member' FROM staff WHERE name = 'm5';
SELECT pg_temp.session_of('m5', now(), tenant => 'other') \gset x
SELECT is(licensed_now, 1, 'S3.38 S4.8 nor one in another tenant') FROM usermgmt.member_statistics;
SELECT pg_temp.session_of('m2', now(), 'ended') \gset x
SELECT is(licensed_now, 2, 'S3.38 whoever logged out within the day used one') FROM usermgmt.member_statistics;
INSERT INTO usermgmt.membership (tenant_id, user_id, role, status, deactivated_at) SELECT :'other_id', id, 'member', 'deactivated', now() FROM staff WHERE name = 'm1';
SELECT is(licensed_now, 2, 'S3.38 S4.8 and who is deactivated in another tenant is not so here') FROM usermgmt.member_statistics;
DELETE FROM usermgmt.membership WHERE tenant_id = :'other_id' AND status = 'deactivated';
CREATE FUNCTION pg_temp.licensed_after(since interval) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	UPDATE usermgmt.session SET last_used_at = statement_timestamp() - since WHERE user_id = (SELECT id FROM staff WHERE name = 'm4');
	RETURN (SELECT licensed_now FROM usermgmt.member_statistics);
END $$;
SELECT is(pg_temp.licensed_after(since), n, 'S3.38 the window of 24 hours: ' || since) FROM (VALUES (INTERVAL '24 hours' - INTERVAL '1 microsecond', 3), (INTERVAL '24 hours', 2)) AS v (since, n);
DELETE FROM usermgmt.membership WHERE tenant_id = :'stat_id' AND user_id = (SELECT id FROM staff WHERE name = 'm1');
SELECT is(concat_ws(' ', total, licensed_now, seats_taken), '14 1 14', 'S3.34 S3.38 whoever is removed uses neither license nor seat') FROM usermgmt.member_statistics;

-- The permission matrix (S3.16), S3.3, S3.5, S3.6.
SELECT usermgmt.use_tenant('acme') AS x \gset
CREATE TEMPORARY TABLE matrix AS VALUES ('view_own_evidence', true, true, true), ('create_evidence', true, true, true), ('view_org_analytics', true, true, false), ('manage_users', true, true, false),
	('invite_users', true, true, false), ('edit_org_settings', true, true, false), ('manage_billing', true, false, false), ('transfer_ownership', true, false, false);
SELECT results_eq('SELECT permission, owner, admin, member FROM usermgmt.role_matrix', 'TABLE matrix', 'S3.16 S3.3 S3.5 S3.6 the matrix, in its order');
SELECT is(pg_temp.see(who, 'SELECT md5(string_agg(m::text, '','')) FROM usermgmt.role_matrix AS m'), (SELECT md5(string_agg(m::text, ',')) FROM usermgmt.role_matrix AS m), 'S3.16 is shown to ' || who) FROM unnest(ARRAY['owner@acme.test', 'Bob.B@acme.test', 'nobody']) AS who;
CREATE FUNCTION pg_temp.permissions(who text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT pg_temp.see(who, 'SELECT jsonb_object_agg(permission, usermgmt.has_permission(permission)) FROM usermgmt.role_matrix')::jsonb
$$;
SELECT is(pg_temp.permissions(who), (SELECT jsonb_object_agg(m.column1, CASE r WHEN 'owner' THEN m.column2 WHEN 'admin' THEN m.column3 ELSE m.column4 END) FROM matrix AS m), 'S3.16 has_permission() of ' || who || ' follows the matrix: ' || r)
	FROM (VALUES ('owner@acme.test', 'owner'), ('admin@acme.test', 'admin'), ('Bob.B@acme.test', 'member')) AS v (who, r);
SELECT is((SELECT bool_and(usermgmt.has_permission(column1)) FROM matrix), true, 'S3.16 an operator has every permission in the selected tenant');
SELECT is(pg_temp.permissions('nobody'), (SELECT jsonb_object_agg(column1, false) FROM matrix), 'S3.16 without a session there is none');
SELECT is(pg_temp.see_late('admin@acme.test', 'SELECT bool_or(usermgmt.has_permission(permission)) FROM usermgmt.role_matrix'), 'false', 'S3.16 B3 nor with an ended one');
SELECT is(pg_temp.see(who, format('SELECT usermgmt.has_permission(%L)', p)), 'error 22023', 'S3.16 there is no permission ' || coalesce(quote_literal(p), 'NULL') || ', for ' || who)
	FROM unnest(ARRAY['owner@acme.test', 'Bob.B@acme.test', 'nobody']) AS who, unnest(ARRAY['fly', '', 'Manage_Users', 'manage_users ', NULL]) AS p;
INSERT INTO usermgmt.permission (permission, position, description) VALUES ('export_data', 9, 'export data'), ('nobody_may', 10, 'granted to nobody');
INSERT INTO usermgmt.role_permission (role, permission) VALUES ('admin', 'export_data'), ('owner', 'export_data'), ('member', 'view_org_analytics');
SELECT results_eq($$SELECT permission, owner, admin, member FROM usermgmt.role_matrix WHERE permission IN ('export_data', 'nobody_may', 'view_org_analytics')$$,
	$$VALUES ('view_org_analytics', true, true, true), ('export_data', true, true, false), ('nobody_may', false, false, false)$$, 'S3.16 what an administrator adds is in the matrix');
SELECT is(pg_temp.permissions(who) - (SELECT array_agg(column1) FROM matrix WHERE column1 <> 'view_org_analytics'), answer::jsonb, 'S3.16 and has_permission() follows it at once: ' || who)
	FROM (VALUES ('owner@acme.test', '{"export_data": true, "nobody_may": false, "view_org_analytics": true}'), ('admin@acme.test', '{"export_data": true, "nobody_may": false, "view_org_analytics": true}'),
		('Bob.B@acme.test', '{"export_data": false, "nobody_may": false, "view_org_analytics": true}')) AS v (who, answer);
SELECT is((SELECT count(*) FROM usermgmt.audit_event WHERE object_type IN ('permission', 'role_permission')), 5::bigint, 'S0.15 each such change is in the trail');
SELECT is(pg_temp.run_as(who, $$INSERT INTO usermgmt.role_permission (role, permission) VALUES ('member', 'manage_billing') RETURNING role$$), 'error 42501', 'S3.16 ' || who || ' does not change the matrix') FROM unnest(ARRAY['tap_lists_app', 'tap_lists_operator']) AS who;
SELECT throws_ok($$INSERT INTO usermgmt.role_permission (role, permission) VALUES ('auditor', 'export_data')$$, '23503', NULL, 'S0.19 there are no other roles to permit anything to');
DELETE FROM usermgmt.permission WHERE permission = 'export_data';
SELECT is(pg_temp.see('admin@acme.test', $$SELECT usermgmt.has_permission('export_data')$$), 'error 22023', 'S3.16 what is taken away is unknown again');

-- JSON for web handlers (S3.26, S4.4, S4.5).
SELECT pg_temp.see('admin@acme.test', 'SELECT usermgmt.users_json()') AS users, pg_temp.see('admin@acme.test', 'SELECT usermgmt.team_json()') AS team, pg_temp.see('admin@acme.test', format('SELECT usermgmt.invitation_json(%L)', :'open_id')) AS invitation \gset
SELECT is(pg_temp.keys(:'users') || '/' || pg_temp.keys(:'users'::jsonb -> 'data'), 'data/stats users', 'S3.26 users_json() is {"data": {"users": ..., "stats": ...}}');
SELECT results_eq(format('SELECT DISTINCT pg_temp.keys(u) FROM jsonb_array_elements(%L::jsonb #> %L) AS u', :'users', '{data,users}'), $$VALUES ('email id joinedAt lastActive name role status')$$, 'S3.26 each user has id, email, name, role, joinedAt, lastActive and status');
SELECT is(pg_temp.keys(:'users'::jsonb #> '{data,stats}'), 'active admins deactivated inactive licensedNow members neverLoggedIn owners ownersAndAdmins pendingInvitations total', 'S3.26 S3.10 the numbers that come with it');
SELECT is(:'users'::jsonb #> '{data,stats}', (SELECT jsonb_build_object('total', total, 'owners', owners, 'admins', admins, 'members', members, 'ownersAndAdmins', owners_and_admins, 'active', active, 'inactive', inactive, 'neverLoggedIn', never_logged_in,
	'deactivated', deactivated, 'pendingInvitations', pending_invitations, 'licensedNow', licensed_now) FROM usermgmt.member_statistics), 'S3.26 are those of member_statistics');
SELECT results_eq(format($$SELECT usermgmt.id(u ->> 'id'), u ->> 'email', u ->> 'name', u ->> 'role', (u ->> 'joinedAt')::timestamptz, (u ->> 'lastActive')::timestamptz, u ->> 'status' FROM jsonb_array_elements(%L::jsonb #> '{data,users}') WITH ORDINALITY AS e (u, n) ORDER BY n$$, :'users'),
	$$SELECT user_id, email, name, role, joined_at, last_login_at, CASE status WHEN 'active' THEN activity ELSE status END FROM usermgmt.members ORDER BY joined_at, user_id$$, 'S3.26 S4.18 S3.22 the members, in the order they joined, by opaque ids that id() takes back');
SELECT is_empty(format($$SELECT u FROM jsonb_array_elements(%L::jsonb #> '{data,users}') AS u WHERE u ->> 'id' !~ '^user_[0-7][0-9a-hjkmnp-tv-z]{25}$' OR u ->> 'joinedAt' !~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d'$$, :'users'), 'S4.18 ids are opaque strings, times as in ISO 8601');
SELECT is(pg_temp.keys(:'team') || '/' || (SELECT string_agg(DISTINCT pg_temp.keys(u), '|') FROM jsonb_array_elements(:'team'::jsonb -> 'users') AS u), 'total users/email last_login name role status user_id', 'S4.5 team_json() is {"users": [{user_id, name, email, role, status, last_login}], "total": n}');
SELECT results_eq(format($$SELECT usermgmt.id(u ->> 'user_id'), u ->> 'name', u ->> 'email', u ->> 'role', u ->> 'status', (u ->> 'last_login')::timestamptz FROM jsonb_array_elements(%L::jsonb -> 'users') WITH ORDINALITY AS e (u, n) ORDER BY n$$, :'team'),
	'SELECT user_id, name, email, role, status, last_login_at FROM usermgmt.members ORDER BY joined_at, user_id', 'S4.5 with every member');
SELECT is(:'team'::jsonb -> 'total', '6', 'S4.5 and their number');
SELECT is((SELECT u ->> 'name' FROM jsonb_array_elements(:'team'::jsonb -> 'users') AS u WHERE u ->> 'email' = 'carol@acme.test'), :'carol_name', 'S4.5 special characters come through');
SELECT is(pg_temp.keys(:'invitation'), 'email expires_at invitation_id status', 'S4.4 invitation_json() has invitation_id, email, status and expires_at');
SELECT is(:'invitation'::jsonb - 'expires_at', jsonb_build_object('invitation_id', usermgmt.public_id('inv', :'open_id'), 'email', 'Open@acme.test', 'status', 'pending'), 'S4.4 S4.18 of that invitation');
SELECT is((:'invitation'::jsonb ->> 'expires_at')::timestamptz, (SELECT expires_at FROM usermgmt.invitations WHERE invitation_id = :'open_id'), 'S4.4 to the microsecond');
SELECT is(pg_temp.see('admin@acme.test', format('SELECT usermgmt.invitation_json(usermgmt.id(%L))', :'invitation'::jsonb ->> 'invitation_id')), :'invitation', 'S4.18 it takes the opaque id through id()');
SELECT is(pg_temp.see('admin@acme.test', format($$SELECT usermgmt.invitation_json(%L) ->> 'status'$$, i)), s, 'S4.4 S2.7 and says so when it is ' || s)
	FROM (VALUES (:'expired_id', 'expired'), (:'revoked_id', 'revoked'), (:'declined_id', 'declined'), ((SELECT invitation_id::text FROM usermgmt.invitations WHERE status = 'accepted' LIMIT 1), 'accepted')) AS v (i, s);
SELECT is(pg_temp.run_as('tap_lists_operator', $$SELECT usermgmt.users_json()$$)::jsonb, :'users'::jsonb, 'S3.26 an operator gets the same as an admin');
SELECT is(pg_temp.run_as('tap_lists_operator', $$SELECT usermgmt.team_json()$$), :'team', 'S4.5 also of the team');
SET LOCAL timezone = 'Asia/Kathmandu';
SET LOCAL datestyle = 'SQL, DMY';
SELECT is((pg_temp.see('admin@acme.test', 'SELECT usermgmt.users_json()')::jsonb #>> '{data,users,0,joinedAt}')::timestamptz = (:'users'::jsonb #>> '{data,users,0,joinedAt}')::timestamptz
	AND pg_temp.see('admin@acme.test', 'SELECT usermgmt.users_json()')::jsonb #>> '{data,users,0,joinedAt}' ~ '^2024-03-01T05:44:59\.123456\+05:45$', true, 'S3.26 in another time zone the times are the same instants');
RESET timezone;
RESET datestyle;

-- Who gets none.
CREATE TEMPORARY TABLE json_call AS SELECT format(c, :'open_id') AS call FROM unnest(ARRAY['users_json()', 'team_json()', 'invitation_json(%L)']) AS c;
SELECT is(pg_temp.see(who, 'SELECT usermgmt.' || call), 'error ' || state, 'S3.1 S4.18 ' || call || ' for ' || who)
	FROM (VALUES ('Bob.B@acme.test', '42501'), ('nobody', 'UM001')) AS v (who, state), (SELECT regexp_replace(call, '''.*''', '''' || :'open_id' || '''') AS call FROM json_call) AS c;
SELECT is(pg_temp.see_late('admin@acme.test', 'SELECT usermgmt.' || call), 'error UM001', 'B3 ' || split_part(call, '(', 1) || ' for a session that has ended') FROM json_call;
SELECT is(pg_temp.see('admin@acme.test', format('SELECT usermgmt.invitation_json(%L)', i)), 'error ' || state, 'S4.8 ' || what) FROM (VALUES (:'other_invitation', 'UM002', 'an invitation of another tenant is not found'), (gen_random_uuid()::text, 'UM002', 'nor one that is none'),
	(:'carol', 'UM002', 'nor a person'), (NULL, '22023', 'NULL is no invitation')) AS v (i, state, what);
SELECT is(pg_temp.see('eve@other.test', format('SELECT usermgmt.invitation_json(%L)', :'open_id')), 'error UM002', 'S4.8 not from the other side either');
SELECT is((SELECT string_agg(u ->> 'email', ' ' ORDER BY u ->> 'email') FROM jsonb_array_elements(pg_temp.see('eve@other.test', 'SELECT usermgmt.team_json()')::jsonb -> 'users') AS u), 'both@acme.test eve@other.test m5@stat.test owner@other.test', 'S4.8 another tenant lists its own people');

-- An empty tenant: its first owner has not even chosen a password.
SELECT slug AS x FROM usermgmt.create_tenant('bare', 'Bare', 'Founder@bare.test') \gset
SELECT usermgmt.use_tenant('bare') AS x \gset
SELECT is(usermgmt.users_json() #- '{data,users,0,joinedAt}' #- '{data,users,0,id}', '{"data": {"users": [{"email": "Founder@bare.test", "name": null, "role": "owner", "lastActive": null, "status": "never_logged_in"}],
	"stats": {"total": 1, "owners": 1, "admins": 0, "members": 0, "ownersAndAdmins": 1, "active": 0, "inactive": 0, "neverLoggedIn": 1, "deactivated": 0, "pendingInvitations": 0, "licensedNow": 0}}}', 'S3.26 S3.9 a tenant with nobody but its founder');
SELECT is(usermgmt.team_json() #- '{users,0,user_id}', '{"total": 1, "users": [{"name": null, "email": "Founder@bare.test", "role": "owner", "status": "active", "last_login": null}]}', 'S4.5 the same of its team');
SELECT is((SELECT usermgmt.member_list_tenant()), usermgmt.current_tenant_id(), 'S3.1 whoever may list members has a tenant to list');
SELECT is(pg_temp.see(a, 'SELECT usermgmt.member_list_tenant() IS NOT NULL'), pg_temp.see(a, 'SELECT count(*) > 0 FROM usermgmt.members'), 'S3.1 and nobody else: ' || a)
FROM unnest(ARRAY['eve@other.test', 'owner@other.test', 'carol@acme.test']) AS a;

SELECT * FROM finish();
ROLLBACK;
