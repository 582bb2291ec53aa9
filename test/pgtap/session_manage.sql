-- Sessions after sign-in: lists, revocation, rotation, idle limit, switching,
-- sessions for a trusted service and ids in outside systems.
BEGIN;
\ir helpers.psql
SELECT no_plan();

CREATE TEMPORARY TABLE seat (name text PRIMARY KEY, id uuid, token text);
CREATE FUNCTION pg_temp.sid(wanted text) RETURNS uuid LANGUAGE sql AS $$ SELECT id FROM seat WHERE name = wanted $$;

-- Signs in and keeps the session under a name.
CREATE FUNCTION pg_temp.open(name text, address text, tenant text DEFAULT 'acme', ip text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	s usermgmt.session_start;
BEGIN
	s := usermgmt.log_in(address, CASE WHEN address LIKE 'owner@%' THEN 'owner of ' ELSE 'secret of ' END || address, tenant, ip, 'browser');
	INSERT INTO seat VALUES (name, s.session_id, s.session_token);
	RETURN s.outcome;
END $$;

-- Runs it by that session.
CREATE FUNCTION pg_temp.by(wanted text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	PERFORM usermgmt.use_session(token) FROM seat WHERE name = wanted;
	EXECUTE statement INTO answer;
	PERFORM usermgmt.end_use();
	RETURN answer;
END $$;

-- 'ok' or the SQLSTATE by that session; undone.
CREATE FUNCTION pg_temp.try_by(wanted text, statement text) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.try(format('SELECT pg_temp.by(%L, %L)', wanted, statement)) $$;
CREATE FUNCTION pg_temp.lives(wanted text) RETURNS boolean LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT usermgmt.use_session(%L)', token)) = 'ok' FROM seat WHERE name = wanted
$$;
CREATE FUNCTION pg_temp.living(VARIADIC wanted text[]) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(w, ' ' ORDER BY w) FROM unnest(wanted) AS w WHERE pg_temp.lives(w) $$;
CREATE FUNCTION pg_temp.revoke(wanted text, reason text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$ SELECT format('SELECT usermgmt.revoke_session(%L, %L)', pg_temp.sid(wanted), reason) $$;

SELECT pg_temp.tenant('beta') AS beta_id, pg_temp.join('dora@beta.test') AS dora \gset
SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('adam@acme.test', 'admin') AS adam, pg_temp.join('anna@acme.test', 'admin') AS anna,
	pg_temp.join('bob@acme.test') AS bob, pg_temp.join('carol@acme.test') AS carol, pg_temp.id_of('owner@acme.test') AS owner \gset
SELECT pg_temp.open('owner', 'owner@acme.test') || pg_temp.open('adam', 'adam@acme.test') || pg_temp.open('anna', 'anna@acme.test') || pg_temp.open('bob1', 'bob@acme.test', ip => '192.0.2.1')
	|| pg_temp.open('bob2', 'bob@acme.test') || pg_temp.open('bob3', 'bob@acme.test') || pg_temp.open('carol', 'carol@acme.test') || pg_temp.open('dora', 'dora@beta.test', 'beta') AS x \gset
SELECT is(pg_temp.living('owner', 'adam', 'anna', 'bob1', 'bob2', 'bob3', 'carol', 'dora'), 'adam anna bob1 bob2 bob3 carol dora owner', 'S1.10 everybody is signed in');

-- revoke_session: who may.
SELECT is(pg_temp.try_by(who, pg_temp.revoke(whose)), outcome, format('S1.10 revoke_session by %s of %s: %s', who, whose, outcome))
	FROM (VALUES ('bob1', 'bob2', 'ok'), ('bob1', 'bob1', 'ok'), ('adam', 'bob1', 'ok'), ('adam', 'anna', 'ok'), ('adam', 'owner', 'ok'), ('owner', 'adam', 'ok'), ('owner', 'owner', 'ok'),
		('bob1', 'carol', 'UM002'), ('bob1', 'adam', 'UM002'), ('bob1', 'dora', 'UM002'), ('adam', 'dora', 'UM002'), ('owner', 'dora', 'UM002'), ('dora', 'bob1', 'UM002')) AS v (who, whose, outcome);
SELECT is(pg_temp.try_by(who, $$SELECT usermgmt.revoke_session('00000000-0000-7000-8000-000000000000')$$), 'UM002', 'S4.8 an unknown session is the same answer to ' || who) FROM unnest(ARRAY['bob1', 'adam', 'owner']) AS who;
SELECT is(pg_temp.try(pg_temp.revoke('bob1')), 'ok', 'S1.10 an operator revokes in the selected tenant');
SELECT is(pg_temp.try(pg_temp.revoke('dora')), 'UM002', 'S4.8 and in no other');
SELECT is(pg_temp.try_by('bob1', 'SELECT usermgmt.revoke_session(NULL)'), '22023', 'NULL is no session');
SELECT is(pg_temp.try_by('bob1', pg_temp.revoke('bob2', r)), '22023', 'a reason is plain text of at most 500 characters') FROM unnest(ARRAY[E'a\x01b', repeat('x', 501)]) AS r;
CREATE ROLE sess_app;
CREATE ROLE sess_operator;
SELECT usermgmt.grant_access('sess_app', 'application') AS x, usermgmt.grant_access('sess_operator', 'operator') AS y \gset
SELECT is(pg_temp.run_as('sess_app', statement), 'error UM001', 'B1 without a session the application gets UM001: ' || statement)
	FROM unnest(ARRAY[pg_temp.revoke('bob1'), format('SELECT usermgmt.revoke_user_sessions(%L)', :'bob'), 'SELECT outcome FROM usermgmt.rotate_session()', $$SELECT outcome FROM usermgmt.switch_tenant('acme')$$]) AS statement;
SELECT is(pg_temp.run_as('sess_app', statement), 'error 42501', 'B1 the application may not call what is the operator''s: ' || statement)
	FROM unnest(ARRAY[format('SELECT outcome FROM usermgmt.start_session(%L)', :'bob'), format('SELECT usermgmt.link_identity(%L, %L, %L)', :'bob', 'p', 's'), format('SELECT usermgmt.unlink_identity(%L, %L, %L)', :'bob', 'p', 's'),
		$$SELECT usermgmt.user_by_identity('p', 's')$$, format('SELECT usermgmt.session_move_last_use(%L, %L, now())', pg_temp.sid('bob1'), :'acme_id'), 'SELECT count(*) FROM usermgmt.session', 'SELECT count(*) FROM usermgmt.account_identity']) AS statement;
SELECT is(pg_temp.run_as('sess_app', 'SELECT count(*) FROM usermgmt.' || v), '0', 'B1 without a session the application sees nothing in ' || v) FROM unnest(ARRAY['my_sessions', 'sessions']) AS v;
SELECT is(pg_temp.run_as('sess_operator', 'SELECT token_hash FROM usermgmt.session'), 'error 42501', 'B4 an operator reads no token hash');

-- revoke_session: what it does.
SELECT pg_temp.by('bob1', pg_temp.revoke('bob2', 'lost my phone')) AS x \gset
SELECT is(pg_temp.living('bob1', 'bob2', 'bob3', 'carol'), 'bob1 bob3 carol', 'S1.10 a revoked session is refused and no other one');
SELECT results_eq(format('SELECT state, end_reason, ended_at IS NOT NULL FROM usermgmt.session WHERE session_id = %L', pg_temp.sid('bob2')), $$VALUES ('revoked', 'lost my phone', true)$$, 'S1.10 its row says why');
SELECT results_eq(format($$SELECT actor_user_id, session_id, subject_email, reason, old ->> 'state', new ->> 'state' FROM usermgmt.audit_event WHERE action = 'session.revoked' AND object_id = %L$$, pg_temp.sid('bob2')),
	format($$VALUES (%L::uuid, %L::uuid, 'bob@acme.test', 'lost my phone', 'open', 'revoked')$$, :'bob', pg_temp.sid('bob1')), 'B4 one audit entry says who revoked, by which session, and why');
SELECT is(pg_temp.try_by(who, pg_temp.revoke('bob2')), 'UM002', 'S1.10 what is over is not revoked again by ' || who) FROM unnest(ARRAY['bob1', 'adam', 'owner']) AS who;
SELECT pg_temp.by('adam', pg_temp.revoke('bob3')) AS x \gset
SELECT results_eq(format('SELECT state, end_reason FROM usermgmt.session WHERE session_id = %L', pg_temp.sid('bob3')), $$VALUES ('revoked', 'revoked')$$, 'S1.10 an admin needs no reason');
SELECT is((SELECT actor_user_id FROM usermgmt.audit_event WHERE action = 'session.revoked' AND object_id = pg_temp.sid('bob3')::text), :'adam'::uuid, 'B4 the entry names the admin');
UPDATE usermgmt.session SET expires_at = clock_timestamp() WHERE session_id = pg_temp.sid('anna');
SELECT is(pg_temp.try_by('adam', pg_temp.revoke('anna')), 'UM002', 'S3.37 nor is an expired one');
UPDATE usermgmt.session SET expires_at = created_at + interval '8 hours' WHERE session_id = pg_temp.sid('anna');
SELECT user_id AS x FROM usermgmt.use_session((SELECT token FROM seat WHERE name = 'bob1'), 'connection') \gset
SELECT usermgmt.revoke_session(pg_temp.sid('bob1')) AS x \gset
SELECT is(concat(usermgmt.current_user_id(), usermgmt.has_role('member')), 'f', 'S1.10 who revokes the session that is bound is out at once');
SELECT is(pg_temp.try(pg_temp.revoke('carol')), 'UM001', 'S1.10 also with superuser rights nothing is done in its name, nor as an operator');
SELECT usermgmt.end_use() AS x \gset
SELECT is(pg_temp.events('session.revoked', pg_temp.sid('bob1')::text), 1::bigint, 'B4 which is one entry');

-- revoke_user_sessions.
DELETE FROM seat WHERE name LIKE 'bob_';
SELECT pg_temp.open('bob1', 'bob@acme.test') || pg_temp.open('bob2', 'bob@acme.test') || pg_temp.open('bob3', 'bob@acme.test') AS x \gset
SELECT count(*) AS bob_open FROM usermgmt.session WHERE user_id = :'bob' AND state = 'open' \gset
SELECT is(pg_temp.try_by(who, format('SELECT usermgmt.revoke_user_sessions(%L)', id)), outcome, format('S1.10 revoke_user_sessions by %s of %s: %s', who, whose, outcome))
	FROM (VALUES ('bob1', 'bob', :'bob', 'ok'), ('bob1', 'carol', :'carol', '42501'), ('bob1', 'dora, who is foreign', :'dora', '42501'), ('bob1', 'nobody', '00000000-0000-7000-8000-000000000000', '42501'), ('adam', 'bob', :'bob', 'ok'),
		('adam', 'owner', :'owner', 'ok'), ('adam', 'himself', :'adam', 'ok'), ('adam', 'dora, who is foreign', :'dora', 'UM002'), ('owner', 'dora, who is foreign', :'dora', 'UM002'),
		('adam', 'nobody', '00000000-0000-7000-8000-000000000000', 'UM002'), ('dora', 'bob, who is foreign', :'bob', '42501'), ('bob1', 'NULL', NULL, '22023')) AS v (who, whose, id, outcome);
SELECT is(pg_temp.by('bob1', format('SELECT usermgmt.revoke_user_sessions(%L, %L)', :'bob', 'tidy up'))::int, :bob_open - 1, 'S1.10 the own sessions end but the bound one, and are counted');
SELECT is(pg_temp.living('bob1', 'bob2', 'bob3', 'carol', 'adam'), 'adam bob1 carol', 'S1.10 and nobody else''s');
SELECT is((SELECT count(*) FROM usermgmt.audit_event WHERE action = 'session.revoked' AND reason = 'tidy up' AND actor_user_id = :'bob'), :bob_open - 1::bigint, 'B4 with one entry each');
SELECT is(pg_temp.by('bob1', format('SELECT usermgmt.revoke_user_sessions(%L)', :'bob')), '0', 'S1.10 when there is no other one, none ends');
SELECT is(pg_temp.by('adam', format('SELECT usermgmt.revoke_user_sessions(%L)', :'bob')), '1', 'S1.10 an admin ends all of another');
SELECT is(pg_temp.living('bob1', 'adam'), 'adam', 'S1.10 who is out');
SELECT count(*) AS carol_open FROM usermgmt.session WHERE user_id = :'carol' AND state = 'open' \gset
SELECT is(usermgmt.revoke_user_sessions(:'carol'), :carol_open, 'S1.10 an operator ends all');
SELECT is((SELECT actor_user_id IS NULL AND actor_db_role = session_user FROM usermgmt.audit_event WHERE action = 'session.revoked' AND object_id = pg_temp.sid('carol')::text), true, 'complaint 13: without a session the entry names the database role');
SELECT pg_temp.open('late', 'carol@acme.test') AS x \gset
UPDATE usermgmt.session SET expires_at = clock_timestamp() WHERE session_id = pg_temp.sid('late');
SELECT is(usermgmt.revoke_user_sessions(:'carol'), 0, 'S3.37 an expired session is not ended again');
-- Only of the present tenant.
SELECT usermgmt.use_tenant('beta') AS x \gset
SELECT is((SELECT outcome FROM usermgmt.accept_invitation(pg_temp.token_of(pg_temp.invite('bob@acme.test')), 'secret of bob@acme.test')), 'ok', 'bob belongs to both tenants');
SELECT usermgmt.use_tenant('acme') AS x \gset
DELETE FROM seat WHERE name LIKE 'bob_' OR name = 'carol';
SELECT pg_temp.open('bob1', 'bob@acme.test', ip => '192.0.2.1') || pg_temp.open('bob2', 'bob@acme.test') || pg_temp.open('bobb', 'bob@acme.test', 'beta') || pg_temp.open('carol', 'carol@acme.test') AS x \gset
SELECT is(pg_temp.try_by('bob1', pg_temp.revoke('bobb')), 'UM002', 'S4.8 the own session in another tenant is not found from here');
SELECT is(pg_temp.by('bob1', format('SELECT usermgmt.revoke_user_sessions(%L)', :'bob')), '1', 'S4.8 and not counted');
SELECT is(pg_temp.living('bob1', 'bob2', 'bobb'), 'bob1 bobb', 'S4.8 and not ended');
SELECT is(pg_temp.by('adam', format('SELECT usermgmt.revoke_user_sessions(%L)', :'bob')), '1', 'S4.8 nor by an admin');
SELECT is(pg_temp.living('bob1', 'bobb'), 'bobb', 'S4.8 of this one');
DELETE FROM seat WHERE name = 'bob1';
SELECT pg_temp.open('bob1', 'bob@acme.test', ip => '192.0.2.1') AS x \gset

-- A session that others end is dead at once where it is bound.
SELECT user_id AS x FROM usermgmt.use_session((SELECT token FROM seat WHERE name = 'carol'), 'connection') \gset
UPDATE usermgmt.session SET state = 'revoked', ended_at = now() WHERE session_id = pg_temp.sid('carol');
SELECT is(concat(usermgmt.current_user_id(), usermgmt.current_session_id(), usermgmt.current_member_role(), (SELECT count(*) FROM usermgmt.my_sessions), usermgmt.has_role('member')), '0f', 'B3 a bound session that ends is nobody at once, also in the views');
SELECT is(pg_temp.try(statement), 'UM001', 'B3 and is refused by ' || statement)
	FROM unnest(ARRAY[pg_temp.revoke('bob1'), format('SELECT usermgmt.revoke_user_sessions(%L)', :'carol'), 'SELECT usermgmt.rotate_session()', $$SELECT usermgmt.switch_tenant('acme')$$, format('SELECT usermgmt.start_session(%L)', :'bob')]) AS statement;
SELECT usermgmt.end_use() AS x \gset
DELETE FROM seat WHERE name = 'carol';
SELECT pg_temp.open('carol', 'carol@acme.test') AS x \gset

-- rotate_session.
SELECT token AS old_token, id AS rotated FROM seat WHERE name = 'bob1' \gset
SELECT expires_at AS bob_until, encode(token_hash, 'hex') AS old_hash FROM usermgmt.session WHERE session_id = :'rotated' \gset
SELECT user_id AS x FROM usermgmt.use_session(:'old_token', 'connection') \gset
SAVEPOINT s;
SELECT session_token AS undone FROM usermgmt.rotate_session() \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(usermgmt.current_session_id(), :'rotated'::uuid, 'a rotation that is rolled back leaves the session bound');
SELECT is(pg_temp.try(format('SELECT usermgmt.use_session(%L)', :'undone')), 'UM001', 'its new token is worthless');
SELECT is(pg_temp.lives('bob1'), true, 'and the old one is not');
SELECT * FROM usermgmt.rotate_session() \gset
SELECT is(concat_ws(' ', :'outcome', :'session_id', :'user_id', :'tenant_id', :'role', :'expires_at'), concat_ws(' ', 'ok', :'rotated', :'bob', :'acme_id', 'member', :'bob_until'), 'ASVS 7.2.4 rotation keeps the session, its person and its end');
SELECT is(usermgmt.current_session_id(), :'rotated'::uuid, 'ASVS 7.2.4 the bound session goes on');
SELECT isnt(:'session_token'::text, :'old_token'::text, 'ASVS 7.2.4 under a new token');
SELECT is(pg_temp.try(format('SELECT usermgmt.use_session(%L)', :'old_token')), 'UM001', 'ASVS 7.2.4 the old token is refused');
SELECT usermgmt.end_use() AS x \gset
UPDATE seat SET token = :'session_token' WHERE name = 'bob1';
SELECT is(pg_temp.lives('bob1'), true, 'ASVS 7.2.4 the new one is not');
SELECT is((SELECT count(*) FROM usermgmt.audit_event WHERE object_id = :'rotated' AND old ? 'token_hash' OR new ? 'token_hash'), 0::bigint, 'R11 the trail shows no hash');
SELECT is_empty(format('SELECT pg_temp.tables_with(%L)', :'session_token'), 'R11 no table holds the new token');
SELECT is_empty(format($$SELECT FROM usermgmt.session WHERE encode(token_hash, 'hex') = %L$$, :'old_hash'), 'R11 nor the old hash');
SELECT is(pg_temp.by('bob1', $$SELECT (usermgmt.rotate_session()).session_id = usermgmt.current_session_id()$$), 'true', 'ASVS 7.2.4 bound to the transaction as well');
SELECT is(pg_temp.lives('bob1'), false, 'ASVS 7.2.4 with the same effect');
SELECT throws_ok('SELECT usermgmt.rotate_session()', 'UM001', NULL, 'an operator has no session to rotate');
DELETE FROM seat WHERE name = 'bob1';
SELECT pg_temp.open('bob1', 'bob@acme.test', ip => '192.0.2.1') AS x \gset

-- switch_tenant.
SELECT (usermgmt.create_tenant('gamma', 'Gamma', 'owner@gamma.test')).tenant_id AS gamma_id \gset
SELECT is(pg_temp.try_by('bob1', format('SELECT usermgmt.switch_tenant(%L)', t)), outcome, 'S4.8 switch_tenant: ' || what)
	FROM (VALUES ('a tenant of the person', 'beta', 'ok'), ('by id', :'beta_id', 'ok'), ('a tenant of others', 'gamma', 'UM002'), ('by id', :'gamma_id', 'UM002'), ('no tenant', 'nowhere', 'UM002'), ('the empty string', '', 'UM002'), ('a pattern', '%', 'UM002'),
		('a huge one', repeat('x', 100000), 'UM002'), ('an unknown id', '00000000-0000-7000-8000-000000000000', 'UM002'), ('NULL', NULL, '22023')) AS v (what, t, outcome);
SELECT is(pg_temp.try_by('carol', $$SELECT usermgmt.switch_tenant('beta')$$), 'UM002', 'S4.8 who belongs to one tenant switches to no other');
SELECT user_id AS x FROM usermgmt.use_session((SELECT token FROM seat WHERE name = 'bob1'), 'connection') \gset
SELECT * FROM usermgmt.switch_tenant('beta') \gset
SELECT is(concat_ws(' ', :'outcome', :'user_id', :'tenant_id', :'role'), concat_ws(' ', 'ok', :'bob', :'beta_id', 'member'), 'S4.8 switching opens a session there');
SELECT is(concat_ws(' ', usermgmt.current_tenant_id(), usermgmt.current_session_id()), concat_ws(' ', :'acme_id', pg_temp.sid('bob1')), 'S4.8 and the present one goes on, and stays bound');
SELECT usermgmt.end_use() AS x \gset
SELECT results_eq(format('SELECT tenant_id, user_id, state, ip, user_agent FROM usermgmt.session WHERE session_id = %L', :'session_id'), format($$VALUES (%L::uuid, %L::uuid, 'open', '192.0.2.1', 'browser')$$, :'beta_id', :'bob'), 'S4.8 from the same place');
SELECT is((SELECT tenant_id FROM usermgmt.use_session(:'session_token')), :'beta_id'::uuid, 'S4.8 its token is of that tenant');
SELECT usermgmt.end_use() AS x \gset
SELECT is((SELECT tenant_id FROM usermgmt.audit_event WHERE action = 'session.started' AND object_id = :'session_id'), :'beta_id'::uuid, 'B4 it is audited there');
UPDATE usermgmt.session SET expires_at = clock_timestamp() + interval '5 minutes' WHERE session_id = pg_temp.sid('bob1');
SELECT is(pg_temp.by('bob1', $$SELECT expires_at < now() + interval '10 minutes' FROM usermgmt.switch_tenant('acme')$$), 'true', 'S3.37 C7 switching does not outlive the sign-in');
UPDATE usermgmt.session SET expires_at = created_at + interval '8 hours' WHERE session_id = pg_temp.sid('bob1');
SELECT throws_ok($$SELECT usermgmt.switch_tenant('beta')$$, 'UM001', NULL, 'an operator has nobody to switch');
SAVEPOINT s;
SELECT usermgmt.use_tenant('beta') AS x, count(*) AS before FROM usermgmt.session \gset
UPDATE usermgmt.membership SET status = 'deactivated' WHERE user_id = :'bob' AND tenant_id = :'beta_id';
SELECT pg_temp.by('bob1', $$SELECT concat_ws(' ', outcome, session_token, session_id, user_id, tenant_id) FROM usermgmt.switch_tenant('beta')$$) AS deactivated, (SELECT count(*) FROM usermgmt.session) - :before AS more \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(:'deactivated' || :'more', 'deactivated0', 'S0.10 a deactivated member gets the outcome, and no session');
SAVEPOINT s;
UPDATE usermgmt.tenant SET suspended_at = now() WHERE tenant_id = :'beta_id';
SELECT pg_temp.by('bob1', $$SELECT outcome FROM usermgmt.switch_tenant('beta')$$) AS suspended \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(:'suspended'::text, 'deactivated', 'nor is there one in a suspended tenant');
SAVEPOINT s;
UPDATE usermgmt.membership SET needs_verified = true WHERE user_id = :'bob' AND tenant_id = :'beta_id';
UPDATE usermgmt.account SET verified_at = now() WHERE user_id = :'bob';
SELECT pg_temp.by('bob1', $$SELECT outcome FROM usermgmt.switch_tenant('beta')$$) AS verified \gset
UPDATE usermgmt.account SET verified_at = NULL WHERE user_id = :'bob';
SELECT pg_temp.by('bob1', $$SELECT outcome FROM usermgmt.switch_tenant('beta')$$) AS unverified \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(concat_ws(' ', :'verified', :'unverified'), 'ok deactivated', 'where the address has to be verified, only a verified person enters');
SAVEPOINT s;
UPDATE usermgmt.tenant SET suspended_at = now() WHERE tenant_id = :'acme_id';
SELECT pg_temp.try_by('bob1', $$SELECT usermgmt.switch_tenant('beta')$$) AS left_behind \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(:'left_behind'::text, 'UM001', 'R7 a session that was ended opens no other one');

-- start_session.
SELECT usermgmt.use_tenant('acme') AS x \gset
SELECT * FROM usermgmt.start_session(:'carol', '2001:db8::1', E'SSO\n1') \gset
SELECT is(concat_ws(' ', :'outcome', :'user_id', :'tenant_id', :'role'), concat_ws(' ', 'ok', :'carol', :'acme_id', 'member'), 'S3.41 a trusted service opens a session without a password');
SELECT is(usermgmt.current_user_id(), NULL, 'S3.41 which is not bound');
SELECT results_eq(format('SELECT ip, user_agent FROM usermgmt.session WHERE session_id = %L', :'session_id'), $$VALUES ('2001:db8::1', 'SSO 1')$$, 'S3.41 from where it says');
SELECT is((SELECT user_id FROM usermgmt.use_session(:'session_token')), :'carol'::uuid, 'S3.41 its token counts');
SELECT is(pg_temp.try(format('SELECT usermgmt.start_session(%L)', :'carol')), '42501', 'with a session bound nobody starts one for others');
SELECT usermgmt.end_use() AS x \gset
SELECT is(pg_temp.try_by('owner', format('SELECT usermgmt.start_session(%L)', :'carol')), '42501', 'not even an owner on an operator''s connection');
SELECT is((SELECT actor_user_id FROM usermgmt.audit_event WHERE action = 'session.started' AND object_id = :'session_id'), NULL, 'complaint 13: a session that a service started is not entered as the person''s act');
SELECT is((SELECT actor_db_role = session_user FROM usermgmt.audit_event WHERE action = 'session.started' AND object_id = :'session_id'), true, 'complaint 13: the entry names the database role');
SELECT is(pg_temp.try(format('SELECT usermgmt.start_session(%L, %L)', id, ip)), outcome, 'S3.41 start_session: ' || what)
	FROM (VALUES ('a foreign person', :'dora', NULL, 'UM002'), ('nobody', '00000000-0000-7000-8000-000000000000', NULL, 'UM002'), ('NULL', NULL, NULL, '22023'), ('a bad ip', :'carol', '999.1.1.1', '22023'), ('an ip', :'carol', '192.0.2.9', 'ok')) AS v (what, id, ip, outcome);
SELECT is(pg_temp.run_as('sess_operator', format('SELECT outcome FROM usermgmt.start_session(%L)', :'carol')), 'ok', 'S3.41 operator access is enough');
SAVEPOINT s;
UPDATE usermgmt.membership SET status = 'deactivated' WHERE user_id = :'carol';
SELECT concat_ws(' ', outcome, session_token, session_id, user_id) AS deactivated FROM usermgmt.start_session(:'carol') \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(:'deactivated'::text, 'deactivated', 'S0.10 not for a deactivated member');
SAVEPOINT s;
UPDATE usermgmt.tenant SET suspended_at = now() WHERE tenant_id = :'acme_id';
SELECT outcome AS suspended FROM usermgmt.start_session(:'carol') \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(:'suspended'::text, 'deactivated', 'nor in a suspended tenant');
SAVEPOINT s;
UPDATE usermgmt.membership SET needs_verified = true WHERE user_id = :'carol';
UPDATE usermgmt.account SET verified_at = NULL WHERE user_id = :'carol';
SELECT outcome AS unverified FROM usermgmt.start_session(:'carol') \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(:'unverified'::text, 'deactivated', 'nor for an unverified person where that is needed');

-- Ids in outside systems (S3.41).
SELECT is_empty($$SELECT s FROM unnest(ARRAY['auth0|5f7c8ec7c33c6c004bbafe82', 'Bob', 'bob', ' bob', 'bob ', E'a\nb', E'\x01\x7f\t', '''; DROP TABLE x; --', 'https://idp.example/users/1?x=%20', 'ÿñ漢字🙂', '0', 'NULL', '%', '_', '\', repeat('x', 1000), repeat('é', 500)]) AS s
		WHERE pg_temp.state_of(format('SELECT usermgmt.link_identity(%L, %L, %L)', pg_temp.id_of('bob@acme.test'), 'better-auth', s)) <> 'ok' OR usermgmt.user_by_identity('better-auth', s) IS DISTINCT FROM pg_temp.id_of('bob@acme.test')$$,
	'S3.41 an outside id is an arbitrary string of up to 1000 octets');
SELECT is((SELECT count(*) FROM usermgmt.account_identity WHERE user_id = :'bob'), 17::bigint, 'S3.41 all of them are different ids: nothing is trimmed or folded');
SELECT is(usermgmt.user_by_identity('better-auth', s), NULL, 'S3.41 no id is ' || to_json(s)) FROM unnest(ARRAY['BOB', 'bo', 'bob  ', E'a\n', 'xyz', E'\x01']) AS s;
SELECT is(usermgmt.user_by_identity('auth0', 'bob'), NULL, 'S3.41 nor that of another provider');
SELECT is(pg_temp.try(format('SELECT usermgmt.%s(%L, %L, %L)', f, :'bob', p, s)), '22023', format('S3.41 %s refuses %s', f, what))
	FROM unnest(ARRAY['link_identity', 'unlink_identity']) AS f, (VALUES ('1001 octets', 'p', repeat('x', 1001)), ('501 characters of two octets', 'p', repeat('é', 501)), ('an empty subject', 'p', ''), ('no subject', 'p', NULL), ('no provider', NULL, 's'),
		('an empty provider', '', 's'), ('a provider of 101 characters', repeat('p', 101), 's'), ('a provider with a control character', E'p\n', 's')) AS v (what, p, s);
SELECT is(pg_temp.try(format('SELECT usermgmt.link_identity(NULL, %L, %L)', 'p', 's')) || pg_temp.try(format('SELECT usermgmt.user_by_identity(%L, NULL)', 'p')), '2202322023', 'S3.41 NULL is neither a person nor an id');
SELECT is(pg_temp.state_of(format('SELECT usermgmt.link_identity(%L, %L, %L)', :'bob', 'better-auth', 'bob')), 'ok', 'S3.41 linking the same again is no error');
SELECT is((SELECT count(*) FROM usermgmt.audit_event WHERE object_type = 'account_identity' AND object_id = 'bob'), 1::bigint, 'S3.41 and changes nothing; the first time is audited');
SELECT is(pg_temp.state_of(format('SELECT usermgmt.link_identity(%L, %L, %L)', :'carol', 'better-auth', 'bob')), '23505', 'S3.41 an id is of one person');
SELECT is(pg_temp.state_of(format('SELECT usermgmt.link_identity(%L, %L, %L)', :'carol', 'other', 'bob')), 'ok', 'S3.41 per provider');
SELECT is(pg_temp.state_of(format('SELECT usermgmt.link_identity(%L, %L, %L)', '00000000-0000-7000-8000-000000000000', 'p', 's')), 'UM002', 'S3.41 nobody has none');
SELECT is(pg_temp.state_of(format('SELECT usermgmt.unlink_identity(%L, %L, %L)', id, 'better-auth', s)), outcome, 'S3.41 unlink_identity: ' || what)
	FROM (VALUES ('of another person', :'carol', 'bob', 'UM002'), ('what is none', :'bob', 'BOB', 'UM002'), ('the own', :'bob', 'bob', 'ok'), ('once more', :'bob', 'bob', 'UM002')) AS v (what, id, s, outcome);
SELECT is(usermgmt.user_by_identity('better-auth', 'bob'), NULL, 'S3.41 it is forgotten');
SELECT is(usermgmt.user_by_identity('better-auth', 'Bob'), :'bob'::uuid, 'S3.41 and no other one');
SELECT is(pg_temp.state_of(format('SELECT usermgmt.link_identity(%L, %L, %L)', :'carol', 'better-auth', 'bob')), 'ok', 'S3.41 and free for somebody else');
SELECT is(pg_temp.run_as('sess_operator', $$SELECT usermgmt.user_by_identity('better-auth', 'bob')$$), :'carol', 'S3.41 operator access is enough');
SAVEPOINT s;
SELECT usermgmt.remove_user(:'carol', confirm => true) AS x \gset
SELECT concat(usermgmt.user_by_identity('better-auth', 'bob'), (SELECT count(*) FROM usermgmt.account_identity WHERE user_id = :'carol')) AS gone, pg_temp.try(format('SELECT usermgmt.link_identity(%L, %L, %L)', :'carol', 'p', 's')) AS closed,
	pg_temp.try(format('SELECT usermgmt.start_session(%L)', :'carol')) AS no_start, pg_temp.lives('carol') AS lives \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(:'gone'::text, '0', 'S3.41 the ids go with the account');
SELECT is(concat_ws(' ', :'closed', :'no_start', :'lives'), 'UM002 UM002 f', 'S3.41 a closed account gets no id and no session, and keeps none');

-- The idle limit.
SELECT usermgmt.set_tenant_setting('session_idle_ttl', '10min') AS x \gset
DELETE FROM seat WHERE name = 'carol';
SELECT pg_temp.open('carol', 'carol@acme.test') AS x \gset
CREATE FUNCTION pg_temp.unused(wanted text, since interval) RETURNS void LANGUAGE sql AS $$ UPDATE usermgmt.session SET last_used_at = clock_timestamp() - since WHERE session_id = pg_temp.sid(wanted) $$;
CREATE FUNCTION pg_temp.unused(wanted text) RETURNS interval LANGUAGE sql AS $$ SELECT clock_timestamp() - last_used_at FROM usermgmt.session WHERE session_id = pg_temp.sid(wanted) $$;
SELECT is((SELECT idle_seconds FROM usermgmt.session WHERE session_id = pg_temp.sid('carol')), 600, 'ASVS 7.3.1 a session keeps the idle limit it began with');
SELECT is((SELECT idle_seconds FROM usermgmt.session WHERE session_id = pg_temp.sid('bob1')), NULL, 'ASVS 7.3.1 and one that began without has none');
SELECT pg_temp.unused('bob1', '7 hours') AS x, pg_temp.unused('carol', '599 seconds') AS y \gset
SELECT is(pg_temp.living('bob1', 'carol'), 'bob1 carol', 'ASVS 7.3.1 within the limit, or without one, a session lives');
SELECT pg_temp.unused('carol', '600 seconds') AS x \gset
SELECT is(pg_temp.lives('carol'), false, 'ASVS 7.3.1 at the limit it is over');
SELECT is((SELECT status FROM usermgmt.sessions WHERE session_id = pg_temp.sid('carol')), 'expired', 'ASVS 7.3.1 and listed so');
SELECT is((SELECT state FROM usermgmt.session WHERE session_id = pg_temp.sid('carol')), 'open', 'ASVS 7.3.1 without a write');
SELECT is(pg_temp.try_by('adam', format('SELECT usermgmt.revoke_session(%L)', pg_temp.sid('carol'))), 'UM002', 'ASVS 7.3.1 and there is nothing left to revoke');
SELECT pg_temp.unused('carol', '10 seconds') AS x \gset
SELECT user_id AS x FROM usermgmt.use_session((SELECT token FROM seat WHERE name = 'carol'), 'connection') \gset
UPDATE usermgmt.session SET last_used_at = clock_timestamp() - interval '601 seconds', role = role WHERE session_id = pg_temp.sid('carol');
SELECT is(concat(usermgmt.current_user_id()), '', 'ASVS 7.3.1 a bound session that others made idle is over, too');
SELECT usermgmt.end_use() AS x \gset
SELECT pg_temp.unused('carol', '59 seconds') AS x, pg_temp.by('carol', 'SELECT 1') AS y \gset
SELECT cmp_ok(pg_temp.unused('carol'), '>=', interval '59 seconds', 'S1.10 a use within a minute of the last is not written');
SELECT pg_temp.unused('carol', '60 seconds') AS x, pg_temp.by('carol', 'SELECT 1') AS y \gset
SELECT pg_temp.unused('carol', '9 minutes') AS x, pg_temp.by('carol', 'SELECT 1') AS y, pg_temp.contents('session') AS before \gset
SELECT is((SELECT count(*) FROM usermgmt.audit_event WHERE object_id = pg_temp.sid('carol')::text), 1::bigint, 'B4 uses are not in the trail');
SELECT usermgmt.set_tenant_setting('session_idle_ttl', '20s') AS x, pg_temp.open('short', 'carol@acme.test') AS y \gset
SELECT pg_temp.unused('short', '9 seconds') AS x, pg_temp.by('short', 'SELECT 1') AS y \gset
SELECT cmp_ok(pg_temp.unused('short'), '>=', interval '9 seconds', 'ASVS 7.3.1 within half a short limit a use is not written');
SELECT pg_temp.unused('short', '10 seconds') AS x, pg_temp.by('short', 'SELECT 1') AS y \gset
SELECT pg_temp.unused('short', '0') AS x \gset
UPDATE usermgmt.session SET expires_at = clock_timestamp() WHERE session_id = pg_temp.sid('short');
SELECT is(pg_temp.lives('short'), false, 'S3.37 C7 use does not move the absolute limit');
SELECT usermgmt.set_tenant_setting('session_idle_ttl', 'off') AS x, pg_temp.open('long', 'carol@acme.test') AS y \gset
SELECT is((SELECT idle_seconds FROM usermgmt.session WHERE session_id = pg_temp.sid('long')), NULL, 'ASVS 7.3.1 off is no limit');
SELECT is(pg_temp.try_by('bob1', $$SELECT usermgmt.set_tenant_setting('session_idle_ttl', '1h')$$) || pg_temp.try_by('adam', $$SELECT usermgmt.set_tenant_setting('session_idle_ttl', '1h')$$), '42501ok', 'ASVS 7.3.1 admins set it, members do not');
SELECT throws_ok(format('UPDATE usermgmt.session SET idle_seconds = 0 WHERE session_id = %L', pg_temp.sid('long')), '23514', NULL, 'ASVS 7.3.1 no bare SQL makes it zero');

-- The views.
UPDATE usermgmt.session SET state = 'revoked', ended_at = now() WHERE state = 'open' AND session_id NOT IN (SELECT id FROM seat);
SELECT pg_temp.open('bob4', 'bob@acme.test') || pg_temp.open('bob5', 'bob@acme.test') || pg_temp.open('bob6', 'bob@acme.test') AS x \gset
SELECT pg_temp.by('bob4', 'SELECT usermgmt.log_out()') AS x, pg_temp.by('adam', pg_temp.revoke('bob5', 'why not')) AS y \gset
UPDATE usermgmt.session SET expires_at = clock_timestamp() WHERE session_id = pg_temp.sid('bob6');
SELECT results_eq(format($$SELECT name, status, end_reason FROM usermgmt.sessions JOIN seat ON id = session_id WHERE name IN ('bob1', 'bob4', 'bob5', 'bob6') ORDER BY 1$$), $$VALUES ('bob1', 'open', NULL), ('bob4', 'ended', 'logged out'), ('bob5', 'revoked', 'why not'), ('bob6', 'expired', NULL)$$,
	'S1.10 the list tells open, ended, revoked and expired apart');
CREATE FUNCTION pg_temp.rows_of(wanted text, list text) RETURNS bigint LANGUAGE sql AS $$ SELECT pg_temp.by(wanted, 'SELECT count(*) FROM usermgmt.' || list)::bigint $$;
SELECT is(pg_temp.rows_of(who, 'sessions'), (SELECT count(*) FROM usermgmt.session WHERE tenant_id = :'acme_id'), format('S1.10 %s sees all sessions of the tenant', who)) FROM unnest(ARRAY['adam', 'owner']) AS who;
SELECT is(pg_temp.rows_of(who, 'sessions'), 0::bigint, format('S4.8 %s, a member, sees none of them', who)) FROM unnest(ARRAY['bob1', 'bobb', 'dora']) AS who;
SELECT is(pg_temp.by('adam', format('SELECT count(*) FROM usermgmt.sessions WHERE tenant_id <> %L', :'acme_id')), '0', 'S4.8 none of another tenant');
SELECT is((SELECT count(*) FROM usermgmt.sessions WHERE tenant_id <> :'acme_id' OR is_current), 0::bigint, 'S4.8 nor does an operator, who has no current one');
SELECT is(pg_temp.by('bob1', $$SELECT string_agg(coalesce(name, '?') || CASE WHEN is_current THEN '*' ELSE '' END, ' ' ORDER BY name) FROM usermgmt.my_sessions LEFT JOIN seat ON id = session_id$$), 'bob1*', 'S1.10 a person sees the own open sessions of the tenant, and which one asks');
SELECT pg_temp.open('bob7', 'bob@acme.test') AS x \gset
SELECT is(pg_temp.by('bob7', $$SELECT string_agg(name || CASE WHEN is_current THEN '*' ELSE '' END, ' ' ORDER BY name) FROM usermgmt.my_sessions JOIN seat ON id = session_id$$), 'bob1 bob7*', 'S1.10 all of them');
SELECT is(pg_temp.by('adam', $$SELECT string_agg(name, ' ') FROM usermgmt.sessions JOIN seat ON id = session_id WHERE is_current$$), 'adam', 'S1.10 the list of the tenant marks it as well');
SELECT is(pg_temp.by('bobb', 'SELECT count(*) FROM usermgmt.my_sessions WHERE tenant_id <> usermgmt.current_tenant_id()'), '0', 'S4.8 in another tenant the person sees those there');
SELECT is((SELECT count(*) FROM usermgmt.my_sessions), 0::bigint, 'S1.10 an operator has none');
SELECT is_empty($$SELECT attname FROM pg_attribute WHERE attrelid IN ('usermgmt.my_sessions'::regclass, 'usermgmt.sessions'::regclass) AND attname ~ 'token|hash'$$, 'R11 no list shows a token or its hash');
CREATE FUNCTION pg_temp.peep(uuid, text) RETURNS boolean COST 0.0000001 LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'seen'; END $$;
SELECT is(pg_temp.try_by('dora', 'SELECT count(*) FROM usermgmt.sessions WHERE pg_temp.peep(session_id, email)'), 'ok', 'B6 a condition sees no row that its author may not');

SELECT * FROM finish();
ROLLBACK;
