-- Members: roles, deactivation, owners, the list and its numbers.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('admin@acme.test', 'admin') AS admin, pg_temp.join('bob@acme.test') AS bob, pg_temp.join('carol@acme.test') AS carol \gset
SELECT pg_temp.id_of('owner@acme.test') AS owner \gset
CREATE FUNCTION pg_temp.as_(who text, statement text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT pg_temp.act(%L, %L)', who || '@acme.test', statement))
$$;
CREATE FUNCTION pg_temp.live(address text) RETURNS boolean LANGUAGE sql AS $$
	SELECT pg_temp.try((SELECT format('SELECT usermgmt.use_session(%L)', token) FROM person WHERE email = address)) = 'ok'
$$;
CREATE FUNCTION pg_temp.primaries(tenant uuid) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(a.email, ',') FROM usermgmt.membership AS m JOIN usermgmt.account AS a USING (user_id) WHERE m.tenant_id = tenant AND m.is_primary_owner
$$;

-- Who may (S3.1), and what.
CREATE TEMPORARY TABLE admin_call AS SELECT format(c, pg_temp.id_of('carol@acme.test')) AS call
	FROM unnest(ARRAY['change_role(%L, $q$admin$q$)', 'deactivate_user(%L)', 'reactivate_user(%L)', 'send_password_reset(%L)', 'invite_user($q$x@acme.test$q$)',
		'resend_invitation(%L)', 'revoke_invitation(%L)', 'invitation_link(%L)']) AS c;
SELECT is_empty($$SELECT call FROM admin_call WHERE pg_temp.as_('bob', 'SELECT usermgmt.' || call) <> '42501'$$, 'S3.1 a member is refused all user management');
SELECT is(pg_temp.as_('bob', format('SELECT usermgmt.change_role(%L, %L)', :'bob', 'owner')), '42501', 'S3.1 and makes nobody an owner, least of all themselves');
SELECT is_empty($$SELECT who, call FROM admin_call, unnest(ARRAY['admin', 'owner']) AS who WHERE pg_temp.as_(who, 'SELECT usermgmt.' || call) = '42501'$$, 'S3.1 owner and admin are not');
SELECT is(pg_temp.as_('bob', 'SELECT count(*) FROM usermgmt.members'), 'ok', 'S3.1 a member may ask for the list');
SELECT is(pg_temp.act('bob@acme.test', 'SELECT count(*) FROM usermgmt.members'), '0', 'S3.1 and sees nobody');
SELECT is(pg_temp.as_('admin', format('SELECT usermgmt.change_role(%L, %L)', u, r)), '42501', 'S3.2 an admin neither makes nor unmakes an owner: ' || what)
	FROM (VALUES ('makes', :'bob', 'owner'), ('promotes themselves', :'admin', 'owner'), ('unmakes', :'owner', 'admin')) AS c (what, u, r);
SELECT is_empty($$SELECT r FROM unnest(ARRAY['superadmin', 'viewer', 'Owner', 'ADMIN', ' member', '', 'none', NULL]) AS r WHERE pg_temp.try(format('SELECT usermgmt.change_role(%L, %L)', pg_temp.id_of('bob@acme.test'), r)) <> '22023'$$,
	'S0.19 only owner, admin and member exist');
SELECT throws_ok(format('UPDATE usermgmt.membership SET role = %L WHERE user_id = %L', 'superadmin', :'bob'), '23514', NULL, 'S0.19 also for bare SQL');

-- A change of role.
SELECT results_eq(format('SELECT user_id, role, status FROM usermgmt.change_role(%L, %L, %L)', :'bob', 'admin', 'team lead'), format($$VALUES (%L::uuid, 'admin', 'active')$$, :'bob'),
	'S0.13 S1.8 the role of a user can be changed');
SELECT is((SELECT reason FROM usermgmt.audit_event WHERE action = 'user.role_changed' AND object_id = :'bob'), 'team lead', 'S3.15 with a reason, kept in the audit entry');
SELECT is(pg_temp.live('bob@acme.test'), false, 'S1.12 C10 which ends the person''s sessions');
SELECT is(pg_temp.live('carol@acme.test') AND pg_temp.live('admin@acme.test'), true, 'S1.12 and nobody else''s');
SELECT pg_temp.sign_in('bob@acme.test') AS x \gset
SELECT usermgmt.change_role(:'bob', 'admin') AS x \gset
SELECT is(pg_temp.live('bob@acme.test'), true, 'S1.12 no change, no end');
SELECT is(pg_temp.events('user.role_changed', :'bob'), 1::bigint, 'S0.15 and no entry');
SELECT results_eq(format('SELECT role FROM usermgmt.change_role(%L, %L)', :'bob', 'member'), $$VALUES ('member')$$, 'S4.6 an admin can be downgraded');
SELECT pg_temp.sign_in('bob@acme.test') AS x \gset
UPDATE usermgmt.tenant SET settings = '{"revoke_sessions_on_role_change": "off"}' WHERE tenant_id = :'acme_id';
SELECT user_id AS x FROM usermgmt.use_session((SELECT token FROM person WHERE email = 'bob@acme.test')) \gset
UPDATE usermgmt.membership SET role = 'admin' WHERE user_id = :'bob';
SELECT is(usermgmt.current_member_role() || usermgmt.has_role('admin')::text, 'admintrue', 'S3.14 C10 with sessions kept, a new role counts in them at once');
SELECT is(pg_temp.try($$SELECT usermgmt.invite_user('x@acme.test')$$), 'ok', 'S3.14 for permissions too');
UPDATE usermgmt.membership SET role = 'member' WHERE user_id = :'bob';
SELECT is(pg_temp.try($$SELECT usermgmt.invite_user('x@acme.test')$$), '42501', 'S3.14 given and taken');
SELECT usermgmt.end_use() AS x \gset
UPDATE usermgmt.tenant SET settings = '{}';
UPDATE usermgmt.membership SET role = 'admin' WHERE user_id = :'bob';
SELECT is(pg_temp.live('bob@acme.test'), false, 'S1.12 by bare UPDATE as well');
SELECT usermgmt.change_role(:'bob', 'member') AS x \gset

-- Deactivation.
SELECT pg_temp.sign_in('bob@acme.test') AS x \gset
SELECT token AS first_token FROM person WHERE email = 'bob@acme.test' \gset
SELECT session_token AS second_token FROM usermgmt.log_in('bob@acme.test', 'secret of bob@acme.test') \gset
SELECT row_to_json(a)::text AS account_before FROM usermgmt.account AS a WHERE user_id = :'bob' \gset
SELECT user_id AS x FROM usermgmt.use_session(:'first_token', 'connection') \gset
UPDATE usermgmt.membership SET status = 'deactivated' WHERE user_id = :'bob';
SELECT is(concat(usermgmt.current_user_id()) || pg_temp.try('SELECT usermgmt.log_out()'), 'UM001', 'S0.11 the cached identity of a pooled connection ends with a deactivation by bare UPDATE');
SELECT usermgmt.end_use() AS x \gset
SELECT is(pg_temp.try(format('SELECT usermgmt.use_session(%L)', :'first_token')) || pg_temp.try(format('SELECT usermgmt.use_session(%L)', :'second_token')), 'UM001UM001', 'S1.11 which ends every session');
SELECT usermgmt.reactivate_user(:'bob') AS x \gset
SELECT is(pg_temp.try(format('SELECT usermgmt.use_session(%L)', :'first_token')), 'UM001', 'S0.12 reactivation revives no session');
SELECT is(pg_temp.sign_in('bob@acme.test'), 'ok', 'S0.12 but the person signs in anew');
SELECT is(pg_temp.act('admin@acme.test', format('SELECT status || deactivation_reason || (deactivated_by = %L) || (deactivated_at IS NOT NULL) FROM usermgmt.deactivate_user(%L, %L)', :'admin', :'bob', 'leave')),
	'deactivatedleavetruetrue', 'S0.9 an admin deactivates a user, and it is kept who and why');
SELECT is(pg_temp.live('bob@acme.test'), false, 'S0.10 every session ends in the same transaction');
SELECT is((SELECT outcome FROM usermgmt.log_in('bob@acme.test', 'secret of bob@acme.test')), 'deactivated', 'S0.9 the right password lets nobody in');
SELECT is((SELECT outcome FROM usermgmt.log_in('bob@acme.test', 'guessed')), 'invalid_credentials', 'S0.9 and only the right one tells why');
SELECT is((SELECT row_to_json(a)::text FROM usermgmt.account AS a WHERE user_id = :'bob'), :'account_before', 'S0.9 no data of the user is deleted');
SELECT throws_ok(format('SELECT usermgmt.deactivate_user(%L)', :'bob'), 'UM037', NULL, 'S0.9 once');
SELECT throws_ok(format('SELECT usermgmt.change_role(%L, %L)', :'bob', 'admin'), 'UM037', NULL, 'S0.13 a deactivated user gets no other role');
SELECT is(pg_temp.try($$SELECT usermgmt.invite_user('bob@acme.test')$$), 'UM032', 'S0.12 nor an invitation, being a member');
SELECT results_eq(format('SELECT status, deactivated_at, deactivated_by, deactivation_reason FROM usermgmt.reactivate_user(%L)', :'bob'), $$VALUES ('active', NULL::timestamptz, NULL::uuid, NULL::text)$$, 'S0.12 a user can be reactivated');
SELECT throws_ok(format('SELECT usermgmt.reactivate_user(%L)', :'bob'), 'UM036', NULL, 'S0.12 once');
SELECT is(pg_temp.as_('bob', 'SELECT 1'), 'UM001', 'S0.12 the sessions from before stay dead');
SELECT pg_temp.tenant('beta') AS beta_id \gset
SELECT outcome AS x FROM usermgmt.accept_invitation(pg_temp.token_of(pg_temp.invite('bob@acme.test')), 'secret of bob@acme.test') \gset
SELECT usermgmt.use_tenant('acme') AS x, usermgmt.deactivate_user(:'bob') AS y \gset
SELECT is((SELECT outcome || tenant_id FROM usermgmt.log_in('bob@acme.test', 'secret of bob@acme.test')), 'ok' || :'beta_id', 'S4.8 deactivated in one tenant, the person still enters another');
SELECT is((SELECT outcome FROM usermgmt.log_in('bob@acme.test', 'secret of bob@acme.test', 'acme')), 'deactivated', 'S4.8 but not this one');
SELECT usermgmt.reactivate_user(:'bob') AS x \gset

-- Owners (S3.4, C8).
SELECT is(pg_temp.as_(who, format('SELECT usermgmt.deactivate_user(%L)', :'owner')), 'UM031', 'S3.4 an owner can not be deactivated, not by the ' || who) FROM unnest(ARRAY['owner', 'admin']) AS who;
SELECT throws_ok(s, 'UM030', NULL, 'C8 the last owner stays: ' || what)
	FROM (VALUES ('change_role', format('SELECT usermgmt.change_role(%L, %L)', :'owner', 'admin')),
		('bare UPDATE of the role', format('UPDATE usermgmt.membership SET role = %L WHERE user_id = %L', 'member', :'owner')),
		('bare UPDATE of the status', format('UPDATE usermgmt.membership SET status = %L WHERE user_id = %L', 'deactivated', :'owner')),
		('bare UPDATE of all', format('UPDATE usermgmt.membership SET role = %L WHERE tenant_id = %L', 'admin', :'acme_id')),
		('bare DELETE', format('DELETE FROM usermgmt.membership WHERE user_id = %L', :'owner')),
		('bare DELETE of all', format('DELETE FROM usermgmt.membership WHERE tenant_id = %L', :'acme_id')),
		('MERGE', format('MERGE INTO usermgmt.membership AS m USING (VALUES (1)) AS o ON m.user_id = %L WHEN MATCHED THEN DELETE', :'owner')),
		('TRUNCATE', 'SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE usermgmt.membership CASCADE')) AS w (what, s);
SELECT isnt(pg_temp.try(s), 'ok', 'C8 the last owner stays: ' || what)
	FROM (VALUES ('moved to another tenant by bare UPDATE', format('DELETE FROM usermgmt.session; UPDATE usermgmt.membership SET tenant_id = %L, is_primary_owner = false WHERE user_id = %L', :'beta_id', :'owner'))) AS w (what, s);
SELECT is(pg_temp.primaries(:'acme_id'), 'owner@acme.test', 'C8 the first owner is the primary one');
SELECT is(pg_temp.act('owner@acme.test', format('SELECT role FROM usermgmt.change_role(%L, %L)', :'carol', 'owner')), 'owner', 'S3.12 an owner makes a member an owner');
SELECT is(pg_temp.primaries(:'acme_id'), 'owner@acme.test', 'C8 there is still one primary owner');
SELECT is((SELECT owners FROM usermgmt.member_statistics), 2, 'C8 of several owners');
CREATE FUNCTION pg_temp.primaries_after(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	BEGIN
		EXECUTE statement;
		answer := coalesce(pg_temp.primaries((SELECT tenant_id FROM usermgmt.tenant WHERE slug = 'acme')), 'none');
		RAISE SQLSTATE 'XX999';
	EXCEPTION WHEN SQLSTATE 'XX999' THEN
		RETURN answer;
	WHEN OTHERS THEN
		RETURN 'refused';
	END;
END $$;
SELECT is(pg_temp.primaries_after(format(s, :'owner')), 'carol@acme.test', 'C8 another owner becomes the primary one after ' || what)
	FROM (VALUES ('change_role', 'SELECT usermgmt.change_role(%L, ''member'')'), ('bare UPDATE of the role', 'UPDATE usermgmt.membership SET role = ''admin'' WHERE user_id = %L'),
		('bare UPDATE of the status', 'UPDATE usermgmt.membership SET status = ''deactivated'' WHERE user_id = %L'), ('bare DELETE', 'DELETE FROM usermgmt.membership WHERE user_id = %L')) AS w (what, s);
SELECT is(pg_temp.primaries_after(format('UPDATE usermgmt.membership SET role = %L WHERE user_id = %L', 'admin', :'carol')), 'owner@acme.test', 'C8 the primary owner stays when another goes');
SELECT matches(pg_temp.primaries_after(format(s, :'acme_id', :'carol')), '^(refused|(owner|carol)@acme\.test)$', 'C8 exactly one primary owner after ' || what)
	FROM (VALUES ('the mark was taken by bare UPDATE', 'UPDATE usermgmt.membership SET is_primary_owner = false WHERE tenant_id = %L'),
		('the mark was given twice by bare UPDATE', 'UPDATE usermgmt.membership SET is_primary_owner = true WHERE tenant_id = %L AND user_id = %L'),
		('the mark was given to all by bare UPDATE', 'UPDATE usermgmt.membership SET is_primary_owner = true WHERE tenant_id = %L'),
		('a third one was inserted by bare SQL', 'INSERT INTO usermgmt.membership (tenant_id, user_id, role, is_primary_owner) SELECT %L, user_id, ''owner'', true FROM usermgmt.account WHERE email = ''owner@beta.test''')) AS w (what, s);
SELECT is(pg_temp.as_('admin', format('SELECT usermgmt.change_role(%L, %L)', :'carol', 'member')), '42501', 'S3.2 an admin does not unmake one of several owners either');
SELECT pg_temp.act('owner@acme.test', format('SELECT usermgmt.change_role(%L, %L)', :'carol', 'member')) AS x \gset

-- The list (S3.7 to S3.10, S3.22 to S3.24).
CREATE FUNCTION pg_temp.logged_in(address text, ago interval) RETURNS void LANGUAGE sql AS $$
	UPDATE usermgmt.membership SET last_login_at = statement_timestamp() - ago, last_seen_at = statement_timestamp() - ago WHERE user_id = pg_temp.id_of(address)
$$;
SELECT results_eq($$SELECT email, role, status, activity, joined_at IS NOT NULL, is_primary_owner FROM usermgmt.members ORDER BY email$$,
	$$VALUES ('admin@acme.test', 'admin', 'active', 'active', true, false), ('bob@acme.test', 'member', 'active', 'active', true, false),
		('carol@acme.test', 'member', 'active', 'active', true, false), ('owner@acme.test', 'owner', 'active', 'active', true, true)$$,
	'S3.7 the list gives address, role, join date, status and activity');
SELECT pg_temp.logged_in('bob@acme.test', interval '29 days 23 hours'), pg_temp.logged_in('carol@acme.test', interval '30 days') \gset ignored_
SELECT results_eq($$SELECT email, activity FROM usermgmt.members WHERE email ~ '^(bob|carol)' ORDER BY email$$, $$VALUES ('bob@acme.test', 'active'), ('carol@acme.test', 'inactive')$$,
	'S3.8 under 30 days is active, 30 days is inactive');
SELECT results_eq($$SELECT email FROM usermgmt.members WHERE status = 'active' AND activity = 'inactive'$$, $$VALUES ('carol@acme.test')$$, 'S3.24 inactive users can be listed, as candidates for deactivation');
SELECT usermgmt.deactivate_user(:'bob') AS x \gset
SELECT results_eq($$SELECT status, activity FROM usermgmt.members WHERE email = 'bob@acme.test'$$, $$VALUES ('deactivated', 'active')$$, 'C9 status and activity are two columns');
UPDATE usermgmt.membership SET last_seen_at = now() WHERE user_id = :'carol';
SELECT is((SELECT activity FROM usermgmt.members WHERE email = 'carol@acme.test'), 'inactive', 'C4 activity is by the last login, not by what was last seen');
UPDATE usermgmt.tenant SET settings = '{"inactive_after": "60d"}' WHERE tenant_id = :'acme_id';
SELECT is((SELECT activity FROM usermgmt.members WHERE email = 'carol@acme.test'), 'active', 'S3.8 the threshold is a setting');
UPDATE usermgmt.tenant SET settings = '{}';
INSERT INTO usermgmt.account (user_id, email, canonical_email) VALUES ('00000000-0000-7000-8000-00000000abcd', 'never@acme.test', '');
INSERT INTO usermgmt.membership (tenant_id, user_id, role) VALUES (:'acme_id', '00000000-0000-7000-8000-00000000abcd', 'member');
SELECT results_eq($$SELECT activity, last_active FROM usermgmt.members WHERE email = 'never@acme.test'$$, $$VALUES ('never_logged_in', NULL::text)$$, 'S3.9 who never had a session has never logged in');
CREATE FUNCTION pg_temp.last_active(ago interval) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_temp.logged_in('carol@acme.test', ago);
	RETURN (SELECT last_active FROM usermgmt.members WHERE email = 'carol@acme.test');
END $$;
SELECT is(pg_temp.last_active(ago), words, 'S3.23 last active in words: ' || words)
	FROM (VALUES (interval '5 minutes', '5 minutes ago'), ('1 hour', '1 hour ago'), ('23 hours', '23 hours ago'), ('1 day', '1 day ago'), ('2 days', '2 days ago'), ('35 days', '1 month ago'),
		('100 days', '3 months ago'), ('800 days', '2 years ago')) AS w (ago, words);
SELECT session_id AS x FROM usermgmt.log_in('carol@acme.test', 'secret of carol@acme.test') \gset
SELECT is((SELECT last_login_at FROM usermgmt.members WHERE email = 'carol@acme.test'), (SELECT max(created_at) FROM usermgmt.session WHERE user_id = :'carol'), 'S3.22 the last login is the creation of the latest session');
SELECT is((SELECT last_seen_at >= last_login_at FROM usermgmt.members WHERE email = 'carol@acme.test'), true, 'C4 a login is also something seen');
SELECT results_eq('SELECT total, owners, admins, members, owners_and_admins, active, inactive, never_logged_in, deactivated, pending_invitations FROM usermgmt.member_statistics',
	'VALUES (5, 1, 1, 3, 2, 3, 0, 1, 1, 0)', 'S3.10 statistics count by role, activity and status');
SELECT pg_temp.invite('hal@acme.test') AS hal \gset
SELECT results_eq('SELECT total, pending_invitations FROM usermgmt.member_statistics', 'VALUES (5, 1)', 'S3.10 live, and invitations apart');

-- Licenses (S3.38).
DELETE FROM usermgmt.session WHERE tenant_id = :'acme_id';
SELECT is((SELECT licensed_now FROM usermgmt.member_statistics), 0, 'S3.38 members without a session use no license');
SELECT pg_temp.sign_in('carol@acme.test') AS x, pg_temp.sign_in('carol@acme.test') AS y, pg_temp.sign_in('admin@acme.test') AS z \gset
SELECT is((SELECT licensed_now FROM usermgmt.member_statistics), 2, 'S3.38 license use counts people with a session, each once');
UPDATE usermgmt.session SET created_at = created_at - interval '25 hours', last_used_at = last_used_at - interval '25 hours' WHERE user_id = :'carol';
SELECT is((SELECT licensed_now FROM usermgmt.member_statistics), 1, 'S3.38 of the last 24 hours');
UPDATE usermgmt.tenant SET settings = '{"license_window": "48h"}' WHERE tenant_id = :'acme_id';
SELECT is((SELECT licensed_now FROM usermgmt.member_statistics), 2, 'S3.38 which is a setting');
SELECT is(pg_temp.act('carol@acme.test', 'SELECT count(*) FROM usermgmt.member_statistics'), '0', 'S3.1 a member sees no statistics');

-- Handing the tenant over (S3.35).
SELECT pg_temp.tenant('handover') AS handover_id \gset
SELECT pg_temp.join('hugo@handover.test') AS hugo \gset
SELECT pg_temp.join('ines@handover.test', 'admin') AS ines \gset
SELECT is(pg_temp.try(format('SELECT pg_temp.act(%L, %L)', 'ines@handover.test', format('SELECT role FROM usermgmt.transfer_ownership(%L)', :'ines'))), '42501', 'S3.35 only the primary owner hands the tenant over');
SELECT is(pg_temp.try(format('SELECT pg_temp.act(%L, %L)', 'owner@handover.test', format('SELECT role FROM usermgmt.transfer_ownership(%L)', :'owner'))), 'UM002', 'complaint 8 not to somebody of another tenant');
SELECT usermgmt.deactivate_user(:'ines') AS x \gset
SELECT is(pg_temp.try(format('SELECT pg_temp.act(%L, %L)', 'owner@handover.test', format('SELECT role FROM usermgmt.transfer_ownership(%L)', :'ines'))), 'UM037', 'complaint 8 not to a deactivated member');
SELECT is(pg_temp.try(format('SELECT pg_temp.act(%L, %L)', 'owner@handover.test', format('SELECT usermgmt.transfer_ownership(%L)', (SELECT user_id FROM person WHERE email = 'owner@handover.test')))), '22023', 'complaint 8 not to oneself');
SELECT is(pg_temp.act('owner@handover.test', format($$SELECT role || ' ' || is_primary_owner FROM usermgmt.transfer_ownership(%L, 'retires')$$, :'hugo')), 'owner true', 'S3.35 but to any active member');
SELECT results_eq(format('SELECT email, role, is_primary_owner FROM usermgmt.member_detail WHERE tenant_id = %L ORDER BY email', :'handover_id'),
	$$VALUES ('hugo@handover.test', 'owner', true), ('ines@handover.test', 'admin', false), ('owner@handover.test', 'admin', false)$$, 'S3.35 C8 the old owner is admin then, and there is one primary owner');
SELECT is((SELECT owner_count FROM usermgmt.tenant WHERE tenant_id = :'handover_id'), 1, 'C8 the tenant has an owner throughout');
SELECT throws_ok('UPDATE usermgmt.tenant SET owner_count = owner_count + 1', '42501', NULL, 'R8 C8 nobody sets the count of owners by bare SQL, whereupon the last could go');
SELECT is((SELECT count(*) FROM usermgmt.audit_event WHERE tenant_id = :'handover_id' AND action = 'user.role_changed' AND reason = 'retires'), 2::bigint, 'S3.15 both changes of role carry the reason');

SELECT * FROM finish();
ROLLBACK;
