-- Moving an account to another address.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('other') AS other_id, pg_temp.join('eve@other.test') AS eve \gset
SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('bob@acme.test') AS bob, pg_temp.join('carol@acme.test', 'admin') AS carol \gset
CREATE FUNCTION pg_temp.wish(address text, new_email text, password text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.state_of(format('SELECT pg_temp.act(%L, %L)', address,
		format('SELECT usermgmt.request_email_change(%L, %L)', new_email, password)))
$$;
CREATE FUNCTION pg_temp.wish(address text, new_email text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.wish(address, new_email, 'secret of ' || address)
$$;
CREATE FUNCTION pg_temp.confirm(address text, token text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.state_of(format('SELECT pg_temp.act(%L, %L)', address, format('SELECT usermgmt.confirm_email_change(%L)', token)))
$$;
CREATE FUNCTION pg_temp.try_confirm(address text, token text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT pg_temp.act(%L, %L)', address, format('SELECT usermgmt.confirm_email_change(%L)', token)))
$$;
CREATE FUNCTION pg_temp.wished_before() RETURNS void LANGUAGE sql AS $$
	UPDATE usermgmt.email_change SET created_at = created_at - interval '2 hours'
$$;

-- Asking.
SELECT is(pg_temp.wish('bob@acme.test', 'robert@acme.test', 'wrong'), 'UM020', 'ASVS 6.3.7 an address is changed with the password only');
SELECT is(pg_temp.wish('bob@acme.test', v), '22023', 'refused as a new address: ' || left(coalesce(to_json(v)::text, 'NULL'), 40)) FROM unnest(ARRAY[NULL, '', 'x', 'bob@acme.test', E'a@b.c\r\nBcc: d@e.f', repeat('x', 300) || '@b.c']) AS v;
SELECT is(pg_temp.wish('bob@acme.test', 'robert@acme.test', v), 'UM020', 'refused as a password: ' || coalesce(v, 'NULL')) FROM unnest(ARRAY[NULL, '']) AS v;
SELECT is(pg_temp.try('SELECT usermgmt.request_email_change(''x@y.test'', ''secret of owner@acme.test'')'), 'UM001', 'R9 an operator without a session has no address to change');
SELECT is((SELECT count(*) FROM usermgmt.email_change), 0::bigint, 'what was refused left nothing');
SELECT is(pg_temp.wish('bob@acme.test', 'Robert@Acme.test'), 'ok', 'a person asks for another address');
SELECT results_eq($$SELECT kind, recipient FROM usermgmt.mail_queue WHERE kind LIKE 'email%' ORDER BY message_id$$,
	$$VALUES ('email_change', 'Robert@Acme.test'), ('email_change_requested', 'bob@acme.test')$$, 'ASVS 6.3.7 the new address gets the link, the present one is told');
SELECT pg_temp.mail_token('email_change', 'Robert@Acme.test') AS token \gset
SELECT is((SELECT text_body LIKE '%http://localhost:3000/confirm-email?token=%' FROM mail WHERE kind = 'email_change'), true, 'the link leads to the page that confirms');
SELECT is((SELECT text_body LIKE '%token=%' OR html_body LIKE '%token=%' FROM mail WHERE kind = 'email_change_requested'), false, 'and is not in the notice');
SELECT is((SELECT email FROM usermgmt.account WHERE user_id = :'bob'), 'bob@acme.test', 'nothing has changed yet');
SELECT is(pg_temp.wish('bob@acme.test', 'ROBERT@acme.test'), 'UM039', 'S3.36 another mail to the address at once is too soon');
SELECT results_eq(format('SELECT old_email, new_email, status, expires_at > clock_timestamp() FROM usermgmt.preview_email_change(%L)', :'token'),
	$$VALUES ('bob@acme.test', 'Robert@Acme.test', 'pending', true)$$, 'complaint 4 a link tells what it would change');
SELECT pg_temp.contents() AS before \gset
SELECT count(usermgmt.preview_email_change(:'token')) AS x FROM generate_series(1, 100) \gset
SELECT is(pg_temp.contents(), :'before'::jsonb, 'complaint 4 and looking at it changes nothing');

-- Who confirms.
SELECT is(pg_temp.try(format('SELECT usermgmt.confirm_email_change(%L)', :'token')), 'UM001', 'R9 the link alone does not take the account');
SELECT is(pg_temp.try_confirm('carol@acme.test', :'token'), 'UM010', 'R9 nor does another person''s session, an admin''s included');
SELECT is(pg_temp.try_confirm('eve@other.test', :'token'), 'UM010', 'R10 nor one of another tenant');
SELECT is(pg_temp.try_confirm('bob@acme.test', v), 'UM010', 'S2.9 refused as a link: ' || left(coalesce(v, 'NULL'), 20)) FROM unnest(ARRAY[NULL, '', 'x', overlay(:'token' PLACING 'zz' FROM 70), :'token' || 'A']) AS v;
SELECT pg_temp.token_of(pg_temp.invite('dan@acme.test')) AS invitation \gset
SELECT is(pg_temp.try_confirm('bob@acme.test', :'invitation'), 'UM010', 'S2.9 an invitation confirms no address');
SELECT is(pg_temp.try(format('SELECT usermgmt.reset_password(%L, %L)', :'token', 'a whole new secret')), 'UM010', 'S2.9 and this link sets no password');
SELECT is(pg_temp.try(format('SELECT usermgmt.accept_invitation(%L, %L)', :'token', 'a whole new secret')), 'UM010', 'S2.9 nor is it an invitation');

-- What confirming does.
SELECT usermgmt.request_password_reset('bob@acme.test') AS x, pg_temp.mail_token('password_reset', 'bob@acme.test') AS reset \gset
SELECT count(*) AS sessions FROM usermgmt.session WHERE user_id = :'bob' AND state = 'open' \gset
SELECT is(pg_temp.confirm('bob@acme.test', :'token'), 'ok', 'the person confirms');
SELECT results_eq(format('SELECT email, canonical_email, verified_at IS NOT NULL FROM usermgmt.account WHERE user_id = %L', :'bob'), $$VALUES ('Robert@Acme.test', 'robert@acme.test', true)$$, 'the account has the new address, which is proven');
SELECT results_eq($$SELECT recipient FROM usermgmt.mail_queue WHERE kind = 'email_changed' ORDER BY message_id$$, $$VALUES ('bob@acme.test'), ('Robert@Acme.test')$$, 'ASVS 6.3.7 both addresses are told');
SELECT is((SELECT outcome FROM usermgmt.log_in('robert@acme.test', 'secret of bob@acme.test')), 'ok', 'the new address signs in');
SELECT is((SELECT outcome FROM usermgmt.log_in('bob@acme.test', 'secret of bob@acme.test')), 'invalid_credentials', 'the old one does not');
SELECT is((SELECT count(*) FROM usermgmt.session WHERE user_id = :'bob' AND state = 'open') >= :sessions, true, 'the sessions go on');
SELECT is(pg_temp.act('bob@acme.test', 'SELECT usermgmt.current_user_email()'), 'Robert@Acme.test', 'under the new address') WHERE EXISTS (SELECT FROM pg_proc WHERE proname = 'current_user_email');
SELECT is(pg_temp.try(format('SELECT usermgmt.reset_password(%L, %L)', :'reset', 'a whole new secret')), 'UM014', 'S0.11 an older link for a new password, mailed to the old address, is void');
SELECT is(pg_temp.try_confirm('bob@acme.test', :'token'), 'UM012', 'S2.11 the link works once');
SELECT is((SELECT status FROM usermgmt.preview_email_change(:'token')), 'used', 'and says so');
SELECT set_eq($$SELECT action, subject_email FROM usermgmt.audit_event WHERE action LIKE 'email_change.%' OR action = 'account.email_changed'$$,
	$$VALUES ('email_change.requested', 'bob@acme.test'), ('email_change.confirmed', 'bob@acme.test'), ('account.email_changed', 'Robert@Acme.test')$$, 'S0.15 the trail has the wish, the confirmation and the change');
SELECT is((SELECT bool_and(actor_user_id = :'bob' AND tenant_id = :'acme_id') FROM usermgmt.audit_event WHERE action LIKE 'email_change.%' OR action = 'account.email_changed'), true, 'S0.15 as the person''s own');
SELECT lives_ok($$SELECT FROM usermgmt.invite_user('bob@acme.test')$$, 'the old address is free for somebody else');

-- An address that somebody has (R14).
SELECT is(pg_temp.wish('carol@acme.test', 'eve@other.test'), 'ok', 'R14 asking does not tell whether an address has an account');
SELECT pg_temp.mail_token('email_change', 'eve@other.test') AS taken \gset
SELECT is(pg_temp.try_confirm('carol@acme.test', :'taken'), '23505', 'R14 who has its mail learns it');
SELECT is((SELECT status FROM usermgmt.preview_email_change(:'taken')), 'pending', 'and the link is not used up');
SELECT is((SELECT count(DISTINCT user_id) FROM usermgmt.account WHERE email IN ('eve@other.test', 'carol@acme.test')), 2::bigint, 'D15 nobody lost an account');

-- What voids a wish.
SELECT is(pg_temp.wish('carol@acme.test', 'caro@acme.test'), 'ok', 'a slip of the pen is mended at once');
SELECT is(pg_temp.try_confirm('carol@acme.test', :'taken'), 'UM014', 'D7 a newer wish voids the older link');
SELECT pg_temp.mail_token('email_change', 'caro@acme.test') AS caro \gset
SAVEPOINT s;
UPDATE usermgmt.email_change SET expires_at = clock_timestamp() WHERE state = 'open';
SELECT is(pg_temp.try_confirm('carol@acme.test', :'caro'), 'UM011', 'S2.4 a link past its time is expired');
ROLLBACK TO SAVEPOINT s;
SAVEPOINT s;
SELECT pg_temp.act('carol@acme.test', $$SELECT usermgmt.change_password('secret of carol@acme.test', 'a whole new secret')$$) AS x \gset
SELECT is(pg_temp.try_confirm('carol@acme.test', :'caro'), 'UM014', 'a new password voids the wish: who asked may have stolen the old one');
ROLLBACK TO SAVEPOINT s;
SAVEPOINT s;
UPDATE usermgmt.account SET password_hash = NULL WHERE user_id = :'carol';
SELECT is((SELECT status FROM usermgmt.preview_email_change(:'caro')), 'superseded', 'also by bare SQL');
ROLLBACK TO SAVEPOINT s;
SAVEPOINT s;
UPDATE usermgmt.account SET email = 'carol@new.test' WHERE user_id = :'carol';
SELECT is((SELECT status FROM usermgmt.preview_email_change(:'caro')), 'superseded', 'so does another address');
ROLLBACK TO SAVEPOINT s;
SAVEPOINT s;
SELECT usermgmt.deactivate_user(:'carol') AS x \gset
SELECT results_eq($$SELECT kind, state FROM usermgmt.mail_queue WHERE kind LIKE 'email_change%' AND (recipient = 'caro@acme.test' OR recipient = 'carol@acme.test') AND subject_id = (SELECT change_id FROM usermgmt.email_change ORDER BY change_id DESC LIMIT 1) ORDER BY message_id$$,
	$$VALUES ('email_change', 'cancelled'), ('email_change_requested', 'cancelled')$$, 'S0.11 deactivation cancels its mails');
SELECT usermgmt.reactivate_user(:'carol') AS x, pg_temp.sign_in('carol@acme.test') AS y \gset
SELECT is(pg_temp.try_confirm('carol@acme.test', :'caro'), 'UM037', 'S0.11 and the link, for good');
ROLLBACK TO SAVEPOINT s;
SELECT is(pg_temp.try_confirm('carol@acme.test', :'caro'), 'ok', 'otherwise it works');
SELECT is_empty(format($$SELECT s FROM unnest(ARRAY['used', 'superseded', 'cancelled']) AS s, unnest(ARRAY['open', 'used', 'superseded', 'cancelled']) AS n (state), LATERAL (SELECT change_id FROM usermgmt.email_change AS e WHERE e.state = s LIMIT 1) AS c
	WHERE n.state <> s AND pg_temp.try(format('UPDATE usermgmt.email_change SET state = %%L, finished_at = CASE WHEN %%L <> ''open'' THEN now() END WHERE change_id = %%L', n.state, n.state, c.change_id)) <> 'UM036'$$), 'B10 no bare UPDATE brings a finished wish back');

-- Not a way to send mail to strangers.
SELECT pg_temp.wished_before() AS x \gset
SELECT is((SELECT string_agg(pg_temp.wish('carol@acme.test', 'stranger' || n || '@nowhere.test'), ' ' ORDER BY n) FROM generate_series(1, 6) AS n), 'ok ok ok ok ok UM039', 'complaint: at most five wishes an hour');
SELECT pg_temp.wished_before() AS x \gset
SELECT is(pg_temp.wish('carol@acme.test', 'stranger7@nowhere.test'), 'ok', 'after an hour the next one is taken');
SELECT is((SELECT count(*) FROM usermgmt.mail_queue WHERE kind = 'email_change' AND state = 'queued' AND recipient LIKE 'stranger%'), 1::bigint, 'and only its link is still to be mailed');

-- In another spelling.
SELECT is(pg_temp.wish('carol@acme.test', 'Carol@ACME.test'), 'ok', 'a person spells the address anew');
SELECT is(pg_temp.confirm('carol@acme.test', pg_temp.mail_token('email_change', 'Carol@ACME.test')), 'ok', 'and confirms it');
SELECT is((SELECT email FROM usermgmt.account WHERE user_id = :'carol'), 'Carol@ACME.test', 'it shows as typed');

SELECT * FROM finish();
ROLLBACK;
