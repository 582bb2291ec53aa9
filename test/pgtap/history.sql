-- The history of access: who may look, what it says, and how it stays what it
-- is. That it equals the truth at each instant is in test/t/history_replay.pl.
BEGIN;
\ir helpers.psql
SELECT no_plan();
CREATE ROLE tap_history_app;
CREATE ROLE tap_history_auditor;
CREATE ROLE tap_history_operator;
DO $$ BEGIN
	PERFORM usermgmt.grant_access('tap_history_app', 'application'), usermgmt.grant_access('tap_history_auditor', 'auditor'),
		usermgmt.grant_access('tap_history_operator', 'operator');
END $$;

-- What a commit does, without one.
CREATE FUNCTION pg_temp.commit() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	SET CONSTRAINTS ALL IMMEDIATE;
	SET CONSTRAINTS ALL DEFERRED;
END $$;

SELECT pg_temp.tenant('other') AS other_id, pg_temp.join('eve@other.test', 'admin') AS eve \gset
SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('ann@acme.test', 'admin') AS ann, pg_temp.join('bob@acme.test') AS bob \gset
SELECT workspace_id AS site FROM usermgmt.create_workspace('site', 'Site') \gset
SELECT role AS x FROM usermgmt.set_workspace_member(:'site', :'bob', 'viewer') \gset
SELECT is((SELECT count(*) FROM usermgmt.membership_history), 0::bigint, 'B9 nothing is history before it is committed');
SELECT pg_temp.commit() AS x \gset
SELECT set_eq($$SELECT email, role, status, workspaces FROM usermgmt.access_at('infinity', 'acme')$$,
	$$VALUES ('owner@acme.test', 'owner', 'active', '{}'::jsonb), ('ann@acme.test', 'admin', 'active', '{}'), ('bob@acme.test', 'member', 'active', '{"site": "viewer"}')$$,
	'B9 who had access to what, with the workspaces');
SELECT is_empty($$SELECT * FROM usermgmt.access_at('-infinity', 'acme')$$, 'B9 and nobody before all');
SELECT is((SELECT count(*) FROM usermgmt.access_at('infinity', :'acme_id')), 3::bigint, 'a tenant is named by its id too');
SELECT throws_ok($$SELECT * FROM usermgmt.access_at(NULL)$$, '22023', NULL, 'an instant is needed');

-- Who may look.
CREATE TEMPORARY TABLE call AS SELECT * FROM (VALUES
	('access_at', $$SELECT count(*) FROM usermgmt.access_at('infinity')$$),
	('access_history', format('SELECT count(*) FROM usermgmt.access_history(%L)', :'bob')),
	('explain_access', format('SELECT count(*) FROM usermgmt.explain_access(%L, %L)', :'bob', 'manage_users'))) AS c (name, s);
GRANT SELECT ON call, person TO PUBLIC;
SELECT set_eq($$SELECT name, pg_temp.act('ann@acme.test', format('SELECT pg_temp.run_as(%L, %L)', 'tap_history_app', s)) FROM call$$,
	$$VALUES ('access_at', '3'), ('access_history', '2'), ('explain_access', '1')$$, 'S0.18 an admin looks at the own tenant');
SELECT set_eq($$SELECT DISTINCT pg_temp.act('bob@acme.test', format('SELECT pg_temp.run_as(%L, %L)', 'tap_history_app', s)) FROM call$$,
	ARRAY['error 42501'], 'S3.1 an ordinary member at nothing, not even the own');
SELECT set_eq($$SELECT name, pg_temp.act('eve@other.test', format('SELECT pg_temp.run_as(%L, %L)', 'tap_history_app', s)) FROM call$$,
	$$VALUES ('access_at', '2'), ('access_history', 'error UM002'), ('explain_access', 'error UM002')$$,
	'S4.8 the admin of another tenant only at the own, and a person of this one is nobody there');
SELECT is(pg_temp.act('eve@other.test', $$SELECT pg_temp.run_as('tap_history_app', 'SELECT count(*) FROM usermgmt.access_at(now(), ''acme'')')$$),
	'error UM002', 'S4.8 and can not name it');
SELECT is(pg_temp.act('eve@other.test', $$SELECT pg_temp.run_as('tap_history_app', 'SELECT count(*) FROM usermgmt.access_at(now(), ''nowhere'')')$$),
	'error UM002', 'S4.8 as if it were not there');
SELECT is(pg_temp.act('bob@acme.test', $$SELECT pg_temp.run_as('tap_history_operator', 'SELECT count(*) FROM usermgmt.access_at(now())')$$),
	'error 42501', 'with a session its role decides, also for operators');
SELECT set_eq($$SELECT DISTINCT pg_temp.run_as('tap_history_app', s) FROM call$$, ARRAY['error UM001'], 'and nobody without a session');
SELECT set_eq($$SELECT name, pg_temp.run_as('tap_history_auditor', s) FROM call$$,
	$$VALUES ('access_at', '5'), ('access_history', '2'), ('explain_access', '1')$$, 'B9 an auditor looks at all tenants');
SELECT is(pg_temp.run_as('tap_history_auditor', $$SELECT count(*) FROM usermgmt.access_at('infinity', 'other')$$), '2', 'B9 or at one');
SELECT set_eq($$SELECT name, pg_temp.run_as('tap_history_operator', s) FROM call$$,
	$$VALUES ('access_at', '3'), ('access_history', '2'), ('explain_access', '1')$$, 'an operator in the selected tenant');
SELECT is(pg_temp.run_as('tap_history_operator', $$SELECT count(*) FROM usermgmt.access_at('infinity', 'other')$$), '2', 'or another one by name');
SELECT is(pg_temp.run_as('tap_history_auditor', 'SELECT count(*) FROM usermgmt.membership_history'), 'error 42501', 'an auditor does not read the table');

-- Why somebody may.
CREATE FUNCTION pg_temp.why(who uuid, permission text) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws('; ', e.allowed, e.role, array_to_string(e.blocked_by, ', '), e.how, 'by ' || e.granted_by_email, e.reason)
	FROM usermgmt.explain_access(who, permission) AS e
$$;
SELECT is(pg_temp.why(pg_temp.id_of('owner@acme.test'), 'manage_billing'), 't; owner; ; tenant created', 'B15 the founder is owner since the tenant was created');
SELECT is(pg_temp.why(:'bob', 'manage_users'), 'f; member; role; invitation accepted', 'B15 a member may not, and came by an invitation');
SELECT is((SELECT allowed_roles FROM usermgmt.explain_access(:'bob', 'manage_users')), '{owner,admin}', 'B15 and it is said which roles may');
SELECT usermgmt.deactivate_user(:'bob', 'away') IS NULL AS x, usermgmt.suspend_tenant('unpaid') IS NULL AS x, pg_temp.commit() AS x \gset
SELECT is((SELECT blocked_by FROM usermgmt.explain_access(:'bob', 'manage_users')), ARRAY['deactivated', 'tenant suspended', 'role'],
	'B15 everything that keeps a person out is named');
SELECT set_eq($$SELECT email, status FROM usermgmt.access_at('infinity', 'acme')$$,
	$$VALUES ('owner@acme.test', 'suspended'), ('ann@acme.test', 'suspended'), ('bob@acme.test', 'deactivated')$$,
	'B9 a suspended tenant admitted nobody');
SELECT usermgmt.resume_tenant() IS NULL AS x, usermgmt.remove_user(:'bob', reason => 'left', confirm => true) IS NULL AS x, pg_temp.commit() AS x \gset
SELECT is(pg_temp.why(:'bob', 'manage_users'), 'f; not a member; removed; left', 'B15 a removed person is no member, since and why');
SELECT throws_ok(format('SELECT usermgmt.explain_access(%L, %L)', :'ann', 'fly'), '22023', NULL, 'B15 an unknown permission is refused');
SELECT throws_ok($$SELECT usermgmt.explain_access('00000000-0000-0000-0000-000000000000', 'manage_users')$$, 'UM002', NULL, 'and so is an unknown person');

-- It stays what it is.
SELECT is_empty($$SELECT s FROM unnest(ARRAY['INSERT INTO usermgmt.membership_history SELECT * FROM usermgmt.membership_history', 'DELETE FROM usermgmt.membership_history',
		'UPDATE usermgmt.membership_history SET role = ''owner''', 'TRUNCATE usermgmt.membership_history']) AS s WHERE pg_temp.state_of(s) <> '42501'$$,
	'B9 nobody changes the history by hand, not even its owner');
SELECT is((SELECT count(*) FROM usermgmt.membership_history AS a JOIN usermgmt.membership_history AS b USING (tenant_id, user_id, workspace_id)
	WHERE a.valid && b.valid AND a.valid <> b.valid), 0::bigint, 'B9 no two periods overlap');
SELECT is((SELECT count(DISTINCT lower(valid)) FROM usermgmt.membership_history), 1::bigint, 'B9 all changes of a transaction have one instant');

-- Whom a tenant has lost may move on: the new address is none of its business.
SELECT pg_temp.tenant('elsewhere') AS elsewhere, pg_temp.tenant('left-behind') AS behind, pg_temp.join('mover@acme.test') AS mover \gset
SELECT usermgmt.use_tenant('elsewhere') AS x \gset
SELECT invitation_id AS again FROM usermgmt.invite_user('mover@acme.test') \gset
SELECT outcome AS x FROM usermgmt.accept_invitation(pg_temp.token_of(:'again'), 'secret of mover@acme.test') \gset
SELECT is(usermgmt.known_email(:'behind', :'mover'), 'mover@acme.test', 'R10 a tenant knows the address of a member');
SELECT usermgmt.use_tenant('left-behind') AS x \gset
SELECT account_closed AS y FROM usermgmt.remove_user(:'mover', confirm => true) \gset
UPDATE usermgmt.account SET email = 'new@private.test' WHERE user_id = :'mover';
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is(usermgmt.known_email(:'behind', :'mover') || ' ' || usermgmt.known_email(:'elsewhere', :'mover'), 'mover@acme.test new@private.test', 'R10 of who left it, only the one that it invited');

SELECT * FROM finish();
ROLLBACK;
