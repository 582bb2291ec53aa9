-- Passwords and links to choose a new one.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('other') AS other_id, pg_temp.join('eve@other.test') AS eve \gset
SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('admin@acme.test', 'admin') AS admin, pg_temp.join('bob@acme.test') AS bob, pg_temp.join('carol@acme.test') AS carol \gset
CREATE FUNCTION pg_temp.asked_before() RETURNS void LANGUAGE sql AS $$
	UPDATE usermgmt.password_reset SET created_at = created_at - interval '1 hour'
$$;
-- Asks for a link, and lets a relay claim it; the state of its mail.
CREATE FUNCTION pg_temp.ask(address text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM usermgmt.request_password_reset(address);
	PERFORM usermgmt.outbox_claim('relay', 1000);
	RETURN (SELECT state || coalesce(': ' || reply, '') FROM usermgmt.mail_queue WHERE recipient = address ORDER BY message_id DESC LIMIT 1);
END $$;

-- At rest.
SELECT is_empty($$SELECT email FROM usermgmt.account WHERE password_hash !~ '^\$argon2id\$v=19\$m=19456,t=2,p=1\$'$$, 'B1 a password is kept as its Argon2id hash');
SELECT is((SELECT count(DISTINCT password_hash) FROM usermgmt.account), (SELECT count(*) FROM usermgmt.account), 'B1 with a salt of its own');
SELECT throws_ok(format('UPDATE usermgmt.account SET password_hash = %L WHERE user_id = %L', 'plain text', :'bob'), '23514', NULL, 'B1 not even bare SQL stores a plain password');
SELECT throws_ok('SET LOCAL usermgmt.hash_memory = 1024', '22023', NULL, 'the cost of a hash has a floor');
SAVEPOINT s;
SET LOCAL usermgmt.hash_passes = 3;
SELECT outcome AS x FROM usermgmt.log_in('bob@acme.test', 'secret of bob@acme.test') \gset
SELECT is((SELECT substring(password_hash FROM 't=\d') FROM usermgmt.account WHERE user_id = :'bob'), 't=3', 'a raised cost is applied at the next sign-in');
SELECT is((SELECT outcome FROM usermgmt.log_in('bob@acme.test', 'secret of bob@acme.test')), 'ok', 'and the password stays the same');
ROLLBACK TO SAVEPOINT s;

-- Asking (S0.7, S0.8).
SELECT results_eq($$SELECT usermgmt.request_password_reset(a)::text FROM unnest(ARRAY['bob@acme.test', 'nobody@nowhere.test']) AS a$$, $$VALUES (''), ('')$$, 'S0.8 everybody gets the same answer');
SELECT results_eq($$SELECT recipient, to_jsonb(o) - ARRAY['message_id', 'recipient', 'created_at', 'due_at', 'expires_at'] AS rest FROM usermgmt.outbox AS o WHERE kind = 'password_reset' ORDER BY message_id$$,
	$$SELECT a.recipient, b.rest FROM (VALUES ('bob@acme.test'), ('nobody@nowhere.test')) AS a (recipient), (SELECT to_jsonb(o) - ARRAY['message_id', 'recipient', 'created_at', 'due_at', 'expires_at'] AS rest
		FROM usermgmt.outbox AS o WHERE kind = 'password_reset' ORDER BY message_id LIMIT 1) AS b$$, 'R14 for everybody the same row is written');
SELECT pg_temp.contents('outbox') AS before \gset
SELECT count(usermgmt.request_password_reset(a)::text) AS x FROM unnest(ARRAY['bob@acme.test', 'nobody@nowhere.test']) AS a \gset
SELECT is(pg_temp.contents('outbox'), :'before'::jsonb, 'R14 and no other one');
SELECT pg_temp.mail_token('password_reset', 'bob@acme.test') AS self_token \gset
SELECT results_eq($$SELECT recipient, state, reply, tenant_id IS NULL FROM usermgmt.mail_queue WHERE kind = 'password_reset' ORDER BY message_id$$,
	$$VALUES ('bob@acme.test', 'claimed', NULL, false), ('nobody@nowhere.test', 'cancelled', 'no active person has this address', true),
		('bob@acme.test', 'cancelled', 'a link was mailed a moment ago', true), ('nobody@nowhere.test', 'cancelled', 'no active person has this address', true)$$, 'S0.8, S3.36 a mail goes to the person only, and only one');
SELECT is((SELECT count(*) FROM usermgmt.password_reset WHERE origin = 'self'), 1::bigint, 'S3.36 asking again at once makes no second link');
SAVEPOINT s;
UPDATE usermgmt.outbox SET finished_at = finished_at - interval '25 hours' WHERE kind = 'password_reset' AND state = 'cancelled';
SELECT is(usermgmt.run_maintenance() ->> 'mail_requests_purged', '3', 'ASVS 14.2 requests for nobody are forgotten after a day');
ROLLBACK TO SAVEPOINT s;
SAVEPOINT s;
SELECT pg_temp.asked_before() AS x, usermgmt.request_password_reset('bob@acme.test') AS y \gset
UPDATE usermgmt.outbox SET expires_at = clock_timestamp() WHERE kind = 'password_reset' AND state = 'queued';
SELECT count(*) AS x FROM usermgmt.outbox_claim('relay') \gset
SELECT is((SELECT reply FROM usermgmt.mail_queue WHERE kind = 'password_reset' ORDER BY message_id DESC LIMIT 1), 'expired before it could be sent', 'F22 a request that no relay took in time is not answered late');
ROLLBACK TO SAVEPOINT s;
SELECT is((SELECT text_body LIKE '%http://localhost:3000/reset-password?token=%' FROM mail WHERE kind = 'password_reset'), true, 'S0.8 the link leads to the page for resets');
SELECT is((SELECT expires_at - created_at FROM usermgmt.password_reset WHERE origin = 'self'), interval '1 hour', 'S2.15 a reset link lives an hour');
SELECT lives_ok(format('SELECT pg_temp.act(%L, %L)', 'admin@acme.test', format('SELECT usermgmt.send_password_reset(%L)', :'bob')), 'S0.7 an admin sends an active user a reset');
SELECT pg_temp.mail_token('password_reset', 'bob@acme.test') AS admin_token \gset
SELECT is((SELECT count(*) FROM usermgmt.mail_queue WHERE kind = 'password_reset' AND recipient = 'bob@acme.test' AND tenant_id IS NOT NULL), 2::bigint, 'S0.7 and that queues exactly one mail');
SELECT throws_ok(format('SELECT usermgmt.send_password_reset(%L)', :'bob'), 'UM039', NULL, 'S3.36 another one at once is too soon');
SELECT is(pg_temp.try(format('SELECT usermgmt.reset_password(%L, %L)', :'self_token', 'a newer password')), 'UM014', 'S0.11 a newer link supersedes the older one');
SELECT is(length(:'self_token'), length(:'admin_token'), 'S0.8 both links are of one kind');
SELECT throws_ok(format('SELECT usermgmt.reset_password(%L, %L)', :'admin_token', 'short'), 'UM021', NULL, 'a rejected password');
SELECT lives_ok(format('SELECT usermgmt.reset_password(%L, %L)', :'admin_token', 'bobs newer password'), 'S0.8 uses no link up, which one function consumes whoever asked');
SELECT throws_ok(format('SELECT usermgmt.reset_password(%L, %L)', :'admin_token', 'bobs third password'), 'UM012', NULL, 'S2.11 a reset link works once');
SELECT is((SELECT outcome FROM usermgmt.log_in('bob@acme.test', 'bobs newer password')), 'ok', 'S0.8 the new password is the one to log in with');
SELECT is((SELECT outcome FROM usermgmt.log_in('bob@acme.test', 'secret of bob@acme.test')), 'invalid_credentials', 'S0.8 and the old one is not');
SELECT is(pg_temp.try((SELECT format('SELECT usermgmt.use_session(%L)', token) FROM person WHERE email = 'bob@acme.test')), 'UM001', 'R7 a reset ends every session from before');
SELECT is((SELECT count(*) FROM usermgmt.mail_queue WHERE kind = 'password_changed' AND recipient = 'bob@acme.test'), 1::bigint, 'and the person is told');
SELECT results_eq($$SELECT count(*), min(actor_email), min(subject_email) FROM usermgmt.audit_event WHERE action = 'account.password_changed' AND actor_email = 'bob@acme.test'$$,
	$$VALUES (1::bigint, 'bob@acme.test', 'bob@acme.test')$$, 'S0.15 the change is audited as the person''s own');

-- Refused (S0.7).
SELECT usermgmt.deactivate_user(:'carol') AS x \gset
SELECT throws_ok(format('SELECT usermgmt.send_password_reset(%L)', :'carol'), 'UM037', NULL, 'S0.7 not for a deactivated user');
SELECT throws_ok(format('SELECT usermgmt.send_password_reset(%L)', :'eve'), 'UM002', NULL, 'S0.7 not for a user of another tenant');
SELECT is(pg_temp.ask('carol@acme.test'), 'cancelled: no active person has this address', 'S0.9 a deactivated person who asks gets no mail');
SELECT is((SELECT count(*) FROM usermgmt.password_reset WHERE user_id = :'carol' AND origin = 'self'), 0::bigint, 'S0.9 and no link');
SELECT usermgmt.reactivate_user(:'carol') AS x \gset

-- Expired, cancelled (S0.11).
SELECT usermgmt.request_password_reset('carol@acme.test') AS x \gset
SELECT pg_temp.mail_token('password_reset', 'carol@acme.test') AS carol_token \gset
SAVEPOINT s;
UPDATE usermgmt.password_reset SET expires_at = clock_timestamp() WHERE user_id = :'carol';
SELECT pg_temp.try(format('SELECT usermgmt.reset_password(%L, %L)', :'carol_token', 'carols new password')) AS expired \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(:'expired'::text, 'UM011', 'S2.4 a reset link past its time is expired');
SELECT usermgmt.deactivate_user(:'carol') AS x \gset
SELECT throws_ok(format('SELECT usermgmt.reset_password(%L, %L)', :'carol_token', 'carols new password'), 'UM037', NULL, 'S0.11 deactivation covers open reset links');
SELECT usermgmt.reactivate_user(:'carol') AS x \gset
SELECT isnt(pg_temp.try(format('SELECT usermgmt.reset_password(%L, %L)', :'carol_token', 'carols new password')), 'ok', 'S0.11 and reactivation does not bring them back');
SELECT pg_temp.asked_before() AS x \gset
SELECT pg_temp.ask('carol@acme.test') AS x \gset
SELECT usermgmt.deactivate_user(:'carol') AS x \gset
SELECT is((SELECT state FROM usermgmt.mail_queue WHERE recipient = 'carol@acme.test' AND kind = 'password_reset' ORDER BY message_id DESC LIMIT 1), 'cancelled', 'S0.11 nor is their mail sent');
SELECT usermgmt.reactivate_user(:'carol') AS x \gset
SELECT pg_temp.asked_before() AS x \gset
SELECT usermgmt.request_password_reset('carol@acme.test') AS x \gset
SELECT pg_temp.mail_token('password_reset', 'carol@acme.test') AS carol_token \gset
UPDATE usermgmt.membership SET status = 'deactivated' WHERE user_id = :'carol';
SELECT throws_ok(format('SELECT usermgmt.reset_password(%L, %L)', :'carol_token', 'carols new password'), 'UM037', NULL, 'S0.11 also when bare SQL deactivated');
SELECT usermgmt.reactivate_user(:'carol') AS x \gset

-- States, by bare SQL.
SELECT pg_temp.asked_before() AS x, usermgmt.request_password_reset('carol@acme.test') AS y, pg_temp.mail_token('password_reset', 'carol@acme.test') AS carol_token \gset
SELECT is_empty(
	$$SELECT r.state, n.state FROM (SELECT DISTINCT ON (state) state, reset_id FROM usermgmt.password_reset) AS r, unnest(ARRAY['open', 'used', 'superseded', 'cancelled']) AS n (state)
		WHERE r.state <> n.state AND r.state <> 'open' AND pg_temp.try(format('UPDATE usermgmt.password_reset SET state = %L, finished_at = CASE WHEN %L <> ''open'' THEN now() END WHERE reset_id = %L',
			n.state, n.state, r.reset_id)) <> 'UM036'$$, 'B10 no bare UPDATE brings a finished reset back');
SELECT set_eq('SELECT DISTINCT state FROM usermgmt.password_reset', ARRAY['open', 'used', 'superseded', 'cancelled'], 'B10 of each of its states');
SELECT is_empty($$SELECT s FROM unnest(ARRAY['used', 'superseded', 'cancelled']) AS s WHERE pg_temp.try(format('INSERT INTO usermgmt.password_reset (reset_id, user_id, tenant_id, origin, state,
		created_at, expires_at, finished_at) SELECT gen_random_uuid(), user_id, tenant_id, ''self'', %L, now(), now(), now() FROM usermgmt.membership LIMIT 1', s)) <> 'UM036'$$, 'B10 a reset begins as open');

-- Policy (UM021): of a new password, by link and by invitation.
SELECT pg_temp.token_of(pg_temp.invite('dave.long@acme.test')) AS dave_token \gset
CREATE FUNCTION pg_temp.verdicts(reset text, invitation text, password text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT usermgmt.reset_password(%L, %L)', reset, password)) || ' '
		|| pg_temp.try(format('SELECT usermgmt.accept_invitation(%L, %L)', invitation, password))
$$;
SELECT is(pg_temp.verdicts(:'carol_token', :'dave_token', password), 'UM021 UM021', 'a password is refused: ' || what)
	FROM (VALUES ('none', NULL), ('empty', ''), ('seven characters', 'seven77'), ('1025 octets', repeat('x', 1025)), ('a megabyte', repeat('x', 1000000)), ('the product', 'UserMgmt')) AS p (what, password);
SELECT is(pg_temp.verdicts(:'carol_token', :'dave_token', password), 'ok ok', 'a password is accepted: ' || what)
	FROM (VALUES ('eight characters', 'ei8ht-ch'), ('1024 octets', repeat('xy', 512)), ('only letters', 'correct horse battery staple'), ('only blanks', repeat(' ', 12)), ('of other scripts', 'пароль из слов')) AS p (what, password);
SELECT is(split_part(pg_temp.verdicts(:'carol_token', :'dave_token', password), ' ', who), 'UM021', 'a password is refused: ' || what)
	FROM (VALUES ('the own address', 'carol@acme.test', 1), ('in other letters', 'CAROL@acme.test', 1), ('the invited address', 'dave.long@acme.test', 2), ('its first part', 'dave.long', 2)) AS p (what, password, who);
SAVEPOINT s;
UPDATE usermgmt.tenant SET name = 'Acme Widgets' WHERE tenant_id = :'acme_id';
SELECT pg_temp.verdicts(:'carol_token', :'dave_token', 'acme widgets') AS name_verdict \gset
SET LOCAL usermgmt.password_min_length = 15;
SELECT pg_temp.verdicts(:'carol_token', :'dave_token', 'fourteen chars') || pg_temp.verdicts(:'carol_token', :'dave_token', 'fifteen chars !') AS length_verdict \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(:'name_verdict'::text, 'UM021 UM021', 'a password is refused: the tenant''s name');
SELECT is(:'length_verdict'::text, 'UM021 UM021ok ok', 'the shortest password is a setting');
SELECT usermgmt.reset_password(:'carol_token', E'caf\u00e9 in the morning') AS x \gset
SELECT is((SELECT outcome FROM usermgmt.log_in('carol@acme.test', password)), expected, 'a password is compared ' || what)
	FROM (VALUES ('in composed form', E'cafe\u0301 in the morning', 'ok'), ('with every letter', E'cafe in the morning', 'invalid_credentials'),
		('with upper and lower case', E'Caf\u00e9 in the morning', 'invalid_credentials'), ('with blanks around it', E' caf\u00e9 in the morning ', 'invalid_credentials')) AS p (what, password, expected);

-- The cool-down of one tenant tells another nothing.
SELECT usermgmt.use_tenant('other') AS x, pg_temp.join('two@other.test') AS two \gset
INSERT INTO usermgmt.membership (tenant_id, user_id, role) SELECT tenant_id, :'two', 'member' FROM usermgmt.tenant WHERE slug = 'acme';
SELECT lives_ok(format('SELECT usermgmt.send_password_reset(%L)', :'two'), 'S0.7 an operator sends a person of two tenants a reset in one');
SELECT usermgmt.use_tenant('acme') AS x \gset
SELECT lives_ok(format('SELECT usermgmt.send_password_reset(%L)', :'two'), 'R10 S4.8 the other one is not told that it was too soon');
SELECT throws_ok(format('SELECT usermgmt.send_password_reset(%L)', :'two'), 'UM039', NULL, 'S3.36 unless it was its own mail');

SELECT * FROM finish();
ROLLBACK;
