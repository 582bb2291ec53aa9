-- Removal: for good and confirmed, previewed, and the end of the account with the last membership; notices by mail.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('beta') AS beta_id, pg_temp.id_of('owner@beta.test') AS beta_owner, pg_temp.join('eve@beta.test') AS eve \gset
SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('ada@acme.test', 'admin') AS ada, pg_temp.join('bob@acme.test', 'admin') AS bob, pg_temp.join('carol@acme.test') AS carol, pg_temp.join('dan@acme.test') AS dan \gset
SELECT pg_temp.id_of('owner@acme.test') AS owner \gset
CREATE FUNCTION pg_temp.as_(who text, statement text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT pg_temp.act(%L, %L)', who || '@acme.test', statement))
$$;
CREATE FUNCTION pg_temp.live(address text) RETURNS boolean LANGUAGE sql AS $$
	SELECT pg_temp.try((SELECT format('SELECT usermgmt.use_session(%L)', token) FROM person WHERE email = address)) = 'ok'
$$;
-- Somebody with an account joins the operator's tenant as well.
CREATE FUNCTION pg_temp.join_too(address text) RETURNS uuid LANGUAGE sql AS $$
	SELECT user_id FROM usermgmt.accept_invitation(pg_temp.token_of(pg_temp.invite(address)), 'secret of ' || address)
$$;
-- Whether the account is closed: its address free and its hash erased.
CREATE FUNCTION pg_temp.closed(person uuid) RETURNS boolean LANGUAGE sql AS $$
	SELECT a.closed_at IS NOT NULL AND a.password_hash IS NULL AND NOT EXISTS (SELECT FROM usermgmt.account AS o WHERE o.canonical_email = a.canonical_email AND o.closed_at IS NULL)
	FROM usermgmt.account AS a WHERE a.user_id = person
$$;
CREATE FUNCTION pg_temp.counted() RETURNS text LANGUAGE sql AS $$
	SELECT s.members || '+' || s.invitations FROM usermgmt.seat_count AS s WHERE s.tenant_id = usermgmt.current_tenant_id()
$$;
-- A refusal in its own words; what an accepted statement did is undone.
CREATE FUNCTION pg_temp.detail_of(statement text, OUT state text, OUT detail text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RAISE SQLSTATE 'XX999';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	detail := nullif(detail, '');
	state := SQLSTATE;
END $$;
-- What a person has in the tenant, counted from the rows.
CREATE FUNCTION pg_temp.holds(person uuid, OUT memberships bigint, OUT sessions bigint, OUT invitations bigint, OUT workspaces bigint, OUT links bigint) LANGUAGE sql AS $$
	SELECT (SELECT count(*) FROM usermgmt.membership AS m WHERE m.tenant_id = t AND m.user_id = person),
		(SELECT count(*) FROM usermgmt.session AS s WHERE s.tenant_id = t AND s.user_id = person AND s.state = 'open' AND s.expires_at > now()),
		(SELECT count(*) FROM usermgmt.invitation AS i WHERE i.tenant_id = t AND i.invited_by = person AND i.state = 'pending'),
		(SELECT count(*) FROM usermgmt.workspace_member AS w WHERE w.tenant_id = t AND w.user_id = person),
		(SELECT count(*) FROM usermgmt.password_reset AS r WHERE r.tenant_id = t AND r.user_id = person AND r.state = 'open')
	FROM usermgmt.current_tenant_id() AS t
$$;

-- What bob has: two open sessions (one is logged out, one is past its time), three open invitations (one is past its time, one accepted, one revoked), two of three workspaces, a reset link.
SELECT usermgmt.set_tenant_setting('seat_limit', '50') AS x, pg_temp.sign_in('bob@acme.test') AS y \gset
SELECT session_id AS logged_out FROM usermgmt.log_in('bob@acme.test', 'secret of bob@acme.test') \gset
SELECT session_id AS overdue FROM usermgmt.log_in('bob@acme.test', 'secret of bob@acme.test') \gset
UPDATE usermgmt.session SET state = 'ended', ended_at = now() WHERE session_id = :'logged_out';
UPDATE usermgmt.session SET expires_at = now() - interval '1 second' WHERE session_id = :'overdue';
SELECT workspace_id AS north FROM usermgmt.create_workspace('north', 'North') \gset
SELECT workspace_id AS south FROM usermgmt.create_workspace('south', 'South') \gset
SELECT workspace_id AS west FROM usermgmt.create_workspace('west', 'West') \gset
SELECT count(usermgmt.set_workspace_member(w, p)) AS x FROM unnest(ARRAY[:'north', :'south']::uuid[]) AS w, unnest(ARRAY[:'bob', :'dan']::uuid[]) AS p \gset
SELECT pg_temp.act('bob@acme.test', 'SELECT pg_temp.invite(''ian@acme.test'')') AS ian, pg_temp.act('bob@acme.test', 'SELECT pg_temp.invite(''ina@acme.test'')') AS ina, pg_temp.act('bob@acme.test', 'SELECT pg_temp.invite(''late@acme.test'')') AS late,
	pg_temp.act('bob@acme.test', 'SELECT pg_temp.invite(''joe@acme.test'')') AS joe, pg_temp.act('bob@acme.test', 'SELECT pg_temp.invite(''rex@acme.test'')') AS rex, pg_temp.act('ada@acme.test', 'SELECT pg_temp.invite(''other@acme.test'')') AS other \gset
UPDATE usermgmt.invitation SET created_at = created_at - interval '9 days', queued_at = queued_at - interval '9 days', expires_at = now() - interval '2 days' WHERE invitation_id = :'late';
SELECT pg_temp.token_of(:'ian') AS ian_token \gset
SELECT user_id AS joe_id FROM usermgmt.accept_invitation(pg_temp.token_of(:'joe'), 'joes long password') \gset
SELECT usermgmt.revoke_invitation(:'rex') IS NULL AS x, usermgmt.send_password_reset(:'bob') AS y \gset
SELECT pg_temp.mail_token('password_reset', 'bob@acme.test') AS bob_link \gset
UPDATE usermgmt.outbox SET state = 'queued', holder = NULL, worker = NULL WHERE subject_id IN (:'ian', :'ina');

-- A preview removes and undoes.
SELECT pg_temp.contents() AS before \gset
SELECT * FROM usermgmt.preview_removal(:'bob') \gset preview_
SELECT is(pg_temp.contents(), :'before'::jsonb, 'S3.17 S0.15 a preview changes nothing: no row of any table, no entry, no mail');

-- Who may.
SELECT is_empty($$SELECT who, f FROM unnest(ARRAY['carol', 'dan']) AS who, unnest(ARRAY['preview_removal(%L)', 'remove_user(%L)', 'remove_user(%L, confirm => true)']) AS f, unnest(ARRAY['carol', 'bob', 'owner']) AS whom
		WHERE pg_temp.as_(who, format('SELECT usermgmt.' || f, pg_temp.id_of(whom || '@acme.test'))) <> '42501'$$, 'S3.1 S4.7 a member removes nobody, not even themselves');
SELECT is(pg_temp.as_(who, format('SELECT usermgmt.remove_user(%L, confirm => true)', pg_temp.id_of(whom || '@acme.test'))), outcome, 'S4.7 S3.4 ' || who || ' removes ' || whom || ': ' || outcome)
	FROM (VALUES ('ada', 'carol', 'ok'), ('ada', 'bob', 'ok'), ('ada', 'ada', 'ok'), ('ada', 'owner', 'UM031'), ('owner', 'ada', 'ok'), ('owner', 'carol', 'ok'), ('owner', 'owner', 'UM031')) AS c (who, whom, outcome);
SELECT is(pg_temp.try(format('SELECT usermgmt.remove_user(%L, confirm => true)', :'carol')), 'ok', 'S4.7 so does an operator without a session');
SELECT is((pg_temp.detail_of(format(s, :'owner'))).state || ((pg_temp.detail_of(format(s, :'owner'))).hint ~* 'transfer the ownership first'), 'UM031true', 'S3.4 an owner cannot be removed, and the error says to transfer ownership first: ' || s)
	FROM unnest(ARRAY['SELECT usermgmt.remove_user(%L, confirm => true)', 'SELECT usermgmt.remove_user(%L)', 'SELECT usermgmt.preview_removal(%L)']) AS s;
SELECT is(pg_temp.try(format('SELECT usermgmt.change_role(%1$L, ''owner''), usermgmt.remove_user(%1$L, confirm => true)', :'carol')), 'UM031', 'S3.4 nor one of several owners');
CREATE ROLE tap_removal_app;
SELECT usermgmt.grant_access('tap_removal_app', 'application') AS x \gset
SELECT is(pg_temp.run_as('tap_removal_app', format('SELECT usermgmt.%I(%L)', f, :'carol')), 'error UM001', 'S4.18 without a session the application removes nobody: ' || f) FROM unnest(ARRAY['preview_removal', 'remove_user']) AS f;
SELECT is(pg_temp.act('ada@acme.test', format('SELECT pg_temp.run_as(%L, %L)', 'tap_removal_app', format('SELECT new_owner_id FROM usermgmt.preview_removal(%L)', :'carol'))), :'owner', 'S0.18 with an admin''s it does, and needs no rights on any table');
SELECT is(pg_temp.run_as('tap_removal_app', format('SELECT usermgmt.link_previous_account(%L, %L)', :'carol', :'dan')), 'error 42501', 'S3.21 accounts are linked by operators alone');
SELECT pg_temp.contents() AS before \gset
SELECT is_empty(format($$SELECT who, f, id FROM unnest(ARRAY['ada', 'owner']) AS who, unnest(ARRAY['preview_removal(%%L)', 'remove_user(%%L)', 'remove_user(%%L, confirm => true)']) AS f, unnest(ARRAY[%L, %L, %L, %L, %L]::uuid[]) AS id
		WHERE pg_temp.as_(who, format('SELECT usermgmt.' || f, id)) <> 'UM002' OR pg_temp.try(format('SELECT usermgmt.' || f, id)) <> 'UM002'$$, :'eve', :'beta_owner', :'ian', gen_random_uuid(), '00000000-0000-0000-0000-000000000000'),
	'S4.8 ids of another tenant, of another kind and of nothing are the same: not found');
SELECT is(pg_temp.try(format('SELECT usermgmt.%s', f)), '22023', 'S4.7 nobody in particular is not removed: ' || f) FROM unnest(ARRAY['preview_removal(NULL)', 'remove_user(NULL, confirm => true)']) AS f;

-- Who is to own what the person owned.
SELECT is(pg_temp.try(format('SELECT usermgmt.remove_user(%L, %L, confirm => %L)', :'bob', heir, confirm)), outcome, 'S3.34 S4.7 ' || what || CASE WHEN confirm THEN '' ELSE ', also unconfirmed' END)
	FROM (VALUES ('nothing is left to the person who is removed', :'bob', '22023'), ('nor to someone of another tenant', :'eve', 'UM002'), ('nor to nobody', gen_random_uuid()::text, 'UM002')) AS c (what, heir, outcome), unnest(ARRAY[true, false]) AS confirm;
SELECT is(pg_temp.try(format('SELECT usermgmt.deactivate_user(%2$L), usermgmt.remove_user(%1$L, %2$L, confirm => true)', :'bob', :'dan')), 'UM037', 'S3.34 nor to who is deactivated');
SELECT is(pg_temp.contents(), :'before'::jsonb, 'S3.17 what was refused left nothing');
SELECT is((pg_temp.detail_of(format('SELECT usermgmt.remove_user(%L, %s)', :'bob', heir))).detail::jsonb ->> 'new_owner_id', new_owner, 'S4.7 C5 the records go to ' || what)
	FROM (VALUES ('the primary owner by default', 'NULL', :'owner'), ('the member who is named', quote_literal(:'carol'), :'carol'), ('the admin who asks', quote_literal(:'ada'), :'ada')) AS c (what, heir, new_owner);
SAVEPOINT s;
SELECT usermgmt.change_role(:'ada', 'owner') IS NULL AS x, usermgmt.transfer_ownership(:'ada') IS NULL AS y, usermgmt.change_role(:'owner', 'owner') IS NULL AS z \gset
SELECT new_owner_id AS heir FROM usermgmt.preview_removal(:'bob') \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(:'heir'::uuid, :'ada'::uuid, 'S4.7 C8 of several owners to the primary one');

-- Confirmation and preview: nothing changes.
SELECT is(concat_ws(' ', :'preview_sessions', :'preview_invitations', :'preview_workspaces', :'preview_resources', :'preview_new_owner_id' = :'owner', :'preview_closes_account'), '2 3 2 {} t t', 'S3.17 the preview tells what a removal takes');
SELECT is((pg_temp.holds(:'bob'))::text, '(1,2,3,2,1)', 'S3.17 which is what the person has');
SELECT is(pg_temp.counted(), (SELECT count(*) FILTER (WHERE status = 'active') FROM usermgmt.membership WHERE tenant_id = :'acme_id') || '+' || (SELECT count(*) FROM usermgmt.invitation WHERE tenant_id = :'acme_id' AND holds_seat), 'S3.17 complaint 15: nor a seat');
SELECT is(d.state || ' ' || (d.detail::jsonb = (SELECT to_jsonb(p) FROM usermgmt.preview_removal(:'bob') AS p)) || ' ' || (d.hint ~ 'confirm => true'), 'UM050 true true', 'S3.17 removal asks for confirmation, with the preview in the detail: ' || how)
	FROM unnest(ARRAY['', ', confirm => false', ', confirm => NULL', ', NULL, NULL, NULL']) AS how, pg_temp.detail_of(format('SELECT usermgmt.remove_user(%L%s)', :'bob', how)) AS d;
SELECT is(pg_temp.contents(), :'before'::jsonb, 'S3.17 and unconfirmed it changes nothing');
SELECT is(pg_temp.live('bob@acme.test') AND pg_temp.live('ada@acme.test'), true, 'S3.17 nobody is signed out by either');
SELECT is(pg_temp.act('bob@acme.test', format('SELECT (pg_temp.detail_of(%L)).state || (SELECT sessions FROM usermgmt.preview_removal(%2$L)) || usermgmt.current_user_id()', format('SELECT usermgmt.remove_user(%L)', :'bob'), :'bob')), 'UM0502' || :'bob', 'S3.17 nor who previews the own removal');
SELECT results_eq(format('SELECT p.sessions, p.workspaces FROM unnest(ARRAY[%L, %L, %L]::uuid[]) WITH ORDINALITY AS u (id, n), usermgmt.preview_removal(u.id) AS p ORDER BY n', :'bob', :'dan', :'carol'), $$VALUES (2, 2), (1, 2), (1, 0)$$, 'S3.17 many are previewed in one query');
DECLARE previews CURSOR FOR SELECT p.sessions FROM unnest(ARRAY[:'bob', :'owner', :'dan']::uuid[]) AS id, usermgmt.preview_removal(id) AS p;
SELECT results_eq('FETCH 1 FROM previews', 'VALUES (2)', 'S3.17 and by a cursor');
SAVEPOINT s;
SELECT throws_ok('FETCH 1 FROM previews', 'UM031', NULL, 'S3.17 whose next row may be refused');
ROLLBACK TO SAVEPOINT s;
SELECT is(pg_temp.contents(), :'before'::jsonb, 'S3.17 and changes nothing');
SELECT lives_ok(format('SELECT usermgmt.preview_removal(%L) FROM generate_series(1, 100)', :'bob'), 'S3.17 a hundred previews');
SELECT is(pg_temp.contents(), :'before'::jsonb, 'S3.17 are as harmless as one');
SAVEPOINT s;
SET LOCAL transaction_read_only = on;
SELECT pg_temp.state_of(format('SELECT usermgmt.preview_removal(%L)', :'bob')) AS read_only \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(:'read_only'::text, '25006', 'S3.17 a preview does and undoes, so it needs a transaction that may write');

-- The removal.
SELECT pg_temp.counted() AS counted, token AS bob_token FROM person WHERE email = 'bob@acme.test' \gset
SELECT user_id AS x FROM usermgmt.use_session(:'bob_token', 'connection') \gset
SAVEPOINT s;
DELETE FROM usermgmt.membership WHERE user_id = :'bob';
SELECT concat(usermgmt.current_user_id(), usermgmt.current_tenant_id(), usermgmt.current_member_role(), usermgmt.has_role('member')) || pg_temp.try('SELECT usermgmt.update_profile($$Bob$$)') AS bound \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(:'bound'::text, 'fUM001', 'S3.18 complaint 7: a bound session is dead at the next statement after a removal');
SELECT is(usermgmt.current_user_id(), :'bob'::uuid, 'S3.18 and lives when the removal is rolled back');
SELECT usermgmt.end_use() AS x \gset
SELECT * FROM pg_temp.act('ada@acme.test', format('SELECT to_jsonb(r) FROM usermgmt.remove_user(%L, %L, %L, true) AS r', :'bob', :'carol', 'moved on')) AS removal \gset
SELECT is(:'removal'::jsonb - 'removed_at', jsonb_build_object('user_id', :'bob', 'email', 'bob@acme.test', 'sessions', :preview_sessions, 'invitations', :preview_invitations, 'workspaces', :preview_workspaces, 'resources', :'preview_resources'::jsonb,
	'new_owner_id', :'carol', 'account_closed', :'preview_closes_account'::boolean, 'reason', 'moved on'), 'S3.17 the removal does what the preview told');
SELECT ok((:'removal'::jsonb ->> 'removed_at')::timestamptz BETWEEN now() AND clock_timestamp(), 'S3.18 at once');
SELECT is((pg_temp.holds(:'bob'))::text, '(0,0,0,0,0)', 'S3.18 S4.7 and nothing of it is left in the tenant');
SELECT is(pg_temp.try(format('SELECT usermgmt.use_session(%L)', :'bob_token')), 'UM001', 'S3.18 the sessions are over');
SELECT is_empty(format('SELECT FROM usermgmt.session WHERE user_id = %L', :'bob'), 'S3.18 all of them');
SELECT is((SELECT outcome FROM usermgmt.log_in('bob@acme.test', 'secret of bob@acme.test', t)), 'invalid_credentials', 'S3.18 login is disabled: ' || coalesce(t, 'anywhere')) FROM unnest(ARRAY[NULL, 'acme']) AS t;
SELECT is(pg_temp.try(format('SELECT usermgmt.reset_password(%L, %L)', :'bob_link', 'bobs newer password')), 'UM037', 'S3.18 S0.11 so is the open reset link');
SELECT usermgmt.request_password_reset('bob@acme.test') AS x \gset
SELECT is((SELECT count(*) FROM usermgmt.outbox_claim('relay') WHERE kind = 'password_reset' AND recipient = 'bob@acme.test'), 0::bigint, 'S3.18 and no new one is mailed');
SELECT is_empty($$SELECT user_id FROM usermgmt.members WHERE email = 'bob@acme.test'$$, 'S4.7 the list has the person no more');
SELECT results_eq(format('SELECT workspace_id, user_id FROM usermgmt.workspace_member WHERE tenant_id = %L ORDER BY workspace_id', :'acme_id'), format('SELECT w, %L::uuid FROM unnest(ARRAY[%L, %L]::uuid[]) AS w ORDER BY w', :'dan', :'north', :'south'), 'S4.7 access to every workspace is over, and nobody else''s');
SELECT results_eq(format('SELECT state, revoke_reason, revoked_by FROM usermgmt.invitation WHERE invitation_id = %L', i), $$VALUES ('revoked', 'the inviter left the tenant', NULL::uuid)$$, 'S3.18 the open invitations of who left are revoked: ' || i) FROM unnest(ARRAY[:'ian', :'ina', :'late']) AS i;
SELECT results_eq(format('SELECT invitation_id, state, accepted_by FROM usermgmt.invitation WHERE invitation_id IN (%L, %L, %L) ORDER BY state', :'joe', :'rex', :'other'), format($$VALUES (%L::uuid, 'accepted', %L::uuid), (%L, 'pending', NULL), (%L, 'revoked', NULL)$$, :'joe', :'joe_id', :'other', :'rex'),
	'S3.19 those that were over stay what they were, and so do other people''s');
SELECT is((SELECT revoke_reason FROM usermgmt.invitation WHERE invitation_id = :'rex'), NULL, 'S3.19 with the reason that they had');
SELECT is(pg_temp.try(format('SELECT usermgmt.accept_invitation(%L, %L)', :'ian_token', 'ians long password')), 'UM013', 'S0.6 a link of one opens nothing');
SELECT results_eq(format('SELECT DISTINCT state, reply FROM usermgmt.outbox WHERE subject_id IN (%L, %L)', :'ian', :'ina'), $$VALUES ('cancelled', 'revoked')$$, 'S0.6 and the mails that had not left are cancelled');
SELECT is(pg_temp.counted(), (split_part(:'counted', '+', 1)::int - 1) || '+' || (split_part(:'counted', '+', 2)::int - 2), 'S3.34 complaint 15: the seat of the person is free, and those of the two open invitations');
SELECT is(pg_temp.live('ada@acme.test') AND pg_temp.live('carol@acme.test') AND pg_temp.live('owner@acme.test'), true, 'S3.18 nobody else is signed out');

-- The trail.
SELECT results_eq(format('SELECT action, reason, actor_user_id, subject_email FROM usermgmt.audit_event WHERE tenant_id = %L AND object_id = %L AND action IN (%L, %L, %L, %L) ORDER BY action', :'acme_id', :'bob', 'user.removed', 'account.closed', 'account.password_changed', 'account.updated'),
	format($$VALUES ('account.closed', 'moved on', %1$L::uuid, 'bob@acme.test'), ('user.removed', 'moved on', %1$L, 'bob@acme.test')$$, :'ada'), 'S0.15 S3.15 a removal writes one entry with the reason, and the closing one');
SELECT is((SELECT count(*) FROM usermgmt.audit_event WHERE action = 'invitation.revoked' AND object_id IN (:'ian', :'ina', :'late')), 3::bigint, 'S0.15 as every revocation does');
SELECT is((SELECT old ->> 'role' FROM usermgmt.audit_event WHERE action = 'user.removed' AND object_id = :'bob'), 'admin', 'S0.15 which tells what the person was');

-- Closed with the last membership (C12).
SELECT is(pg_temp.closed(:'bob'), true, 'C12 removal from the last tenant closes the account: the address is released and the hash erased');
SELECT results_eq(format('SELECT email, canonical_email, closed_at > now(), successor_id FROM usermgmt.account WHERE user_id = %L', :'bob'), $$VALUES ('bob@acme.test', 'bob@acme.test', true, NULL::uuid)$$, 'C12 the id is kept for the trail, with the address that it had');
SELECT is((SELECT email FROM usermgmt.account WHERE user_id = (SELECT invited_by FROM usermgmt.invitation WHERE invitation_id = :'joe')), 'bob@acme.test', 'S3.19 complaint 14: whoever was invited by the person still shows it');
SELECT is((SELECT account_closed FROM usermgmt.remove_user(:'joe_id', confirm => true)) AND (SELECT accepted_by = :'joe_id' FROM usermgmt.invitation WHERE invitation_id = :'joe'), true, 'S3.19 complaint 14: and the invitation that a removed person had accepted names the person');
SELECT is(pg_temp.try(format('SELECT usermgmt.%s', f)), 'UM002', 'S3.17 it cannot be undone, nor done twice: ' || split_part(f, '(', 1))
	FROM unnest(ARRAY[format('remove_user(%L, confirm => true)', :'bob'), format('preview_removal(%L)', :'bob'), format('reactivate_user(%L)', :'bob'), format('change_role(%L, ''admin'')', :'bob'), format('send_password_reset(%L)', :'bob')]) AS f;

-- Invited again (S3.20), and linked by an operator (S3.21).
SELECT results_eq($$SELECT account_exists, status FROM usermgmt.preview_invitation(pg_temp.token_of(pg_temp.invite('BOB@acme.test')))$$, $$VALUES (false, 'pending')$$, 'S3.20 a removed person can be invited again, as somebody new');
SELECT is(pg_temp.try(format('SELECT usermgmt.accept_invitation(pg_temp.token_of(%L))', (SELECT invitation_id FROM usermgmt.pending_invitations WHERE email = 'BOB@acme.test'))), 'UM021', 'S3.20 who chooses a new password');
SELECT user_id AS new_bob FROM usermgmt.accept_invitation(pg_temp.token_of((SELECT invitation_id FROM usermgmt.pending_invitations WHERE email = 'BOB@acme.test')), 'bobs second password') \gset
SELECT isnt(:'new_bob'::uuid, :'bob'::uuid, 'S3.20 C12 and makes a new account');
SELECT is((SELECT outcome || user_id FROM usermgmt.log_in('bob@acme.test', 'bobs second password')) || (SELECT outcome FROM usermgmt.log_in('bob@acme.test', 'secret of bob@acme.test')), 'ok' || :'new_bob' || 'invalid_credentials', 'S3.20 the old password is nobody''s');
SELECT is((pg_temp.holds(:'new_bob'))::text || (SELECT role FROM usermgmt.members WHERE user_id = :'new_bob'), '(1,2,0,0,0)member', 'S3.20 nothing of the old account comes with it: no role, no workspace, no invitation');
SELECT is((SELECT successor_id FROM usermgmt.account WHERE user_id = :'bob'), NULL, 'S3.20 earlier records are not linked automatically');
SELECT is(pg_temp.try(format('SELECT usermgmt.link_previous_account(%L, %L)', old_id, new_id)), outcome, 'S3.21 ' || what)
	FROM (VALUES ('an account is not its own successor', :'bob', :'bob', '22023'), ('the old one is named', NULL, :'new_bob', '22023'), ('and so is the new one', :'bob', NULL, '22023'), ('neither old one', gen_random_uuid()::text, :'new_bob', 'UM002'), ('nor new one is unknown', :'bob', gen_random_uuid()::text, 'UM002'),
		('the old one is closed', :'carol', :'new_bob', 'UM036'), ('and the new one open', :'bob', :'joe_id', 'UM036'), ('not the other way round', :'new_bob', :'bob', 'UM036')) AS c (what, old_id, new_id, outcome);
SELECT is(usermgmt.link_previous_account(:'bob', :'new_bob'), 1, 'S3.21 an operator links the earlier records');
SELECT is((SELECT successor_id FROM usermgmt.account WHERE user_id = :'bob'), :'new_bob'::uuid, 'S3.21 and the old account names the new one');
SELECT is(usermgmt.link_previous_account(:'bob', :'new_bob'), 0, 'S3.21 a second time there is nothing to do');
SELECT is(pg_temp.events('account.linked', :'bob'), 1::bigint, 'S3.21 and it is in the trail, once');
SELECT is((SELECT tenant_id FROM usermgmt.audit_event WHERE action = 'account.linked'), '00000000-0000-0000-0000-000000000000'::uuid, 'S4.8 which is no tenant''s');
SELECT is((pg_temp.holds(:'new_bob'))::text || (SELECT closed_at IS NOT NULL AND password_hash IS NULL FROM usermgmt.account WHERE user_id = :'bob'), '(1,2,0,0,0)true', 'S3.21 the old account stays closed, and the new one gains no rights');
SELECT throws_ok(format('UPDATE usermgmt.account SET successor_id = %L WHERE user_id = %L', :'bob', :'new_bob'), '23514', NULL, 'S3.21 only a closed account has a successor');

-- Someone with another tenant keeps the account, whichever of the two goes first (C12).
SELECT usermgmt.use_tenant('beta') AS x, pg_temp.join_too('dan@acme.test') AS y \gset
SELECT session_token AS dan_in_beta FROM usermgmt.log_in('dan@acme.test', 'secret of dan@acme.test', 'beta') \gset
SELECT usermgmt.send_password_reset(:'dan') AS x \gset
SELECT pg_temp.mail_token('password_reset', 'dan@acme.test') AS beta_link \gset
SELECT row_to_json(a)::text AS account_before FROM usermgmt.account AS a WHERE user_id = :'dan' \gset
SAVEPOINT s;
SELECT usermgmt.use_tenant('acme') AS x \gset
SELECT results_eq(format('SELECT sessions, workspaces, closes_account FROM usermgmt.preview_removal(%L)', :'dan'), 'VALUES (1, 2, false)', 'C12 S4.8 the preview counts the own tenant only, and the account stays');
SELECT is((SELECT account_closed FROM usermgmt.remove_user(:'dan', confirm => true)), false, 'C12 someone who belongs to another tenant keeps the account');
SELECT is((SELECT row_to_json(a)::text FROM usermgmt.account AS a WHERE user_id = :'dan'), :'account_before', 'C12 as it was');
SELECT is(pg_temp.live('dan@acme.test')::text || pg_temp.try(format('SELECT usermgmt.use_session(%L)', :'dan_in_beta')), 'falseok', 'complaint 7: the session of the other tenant lives on, and no other');
SELECT is((SELECT outcome || ' ' || tenant_id FROM usermgmt.log_in('dan@acme.test', 'secret of dan@acme.test')), 'ok ' || :'beta_id', 'C12 the person works on there');
SELECT is((SELECT outcome FROM usermgmt.log_in('dan@acme.test', 'secret of dan@acme.test', 'acme')), 'invalid_credentials', 'S3.18 and not here');
SELECT is(pg_temp.try(format('SELECT usermgmt.reset_password(%L, %L)', :'beta_link', 'dans newer password')), 'ok', 'C12 a link of the other tenant opens still');
SELECT is(pg_temp.events('user.removed', :'dan') || ' ' || pg_temp.events('account.closed', :'dan'), '1 0', 'S0.15 the trail tells of the removal alone');
SELECT is(pg_temp.join_too('dan@acme.test'), :'dan'::uuid, 'C12 S4.2 invited again, such a person comes back with the account');
SELECT is((pg_temp.holds(:'dan'))::text, '(1,1,0,0,0)', 'S3.20 but with none of the former places');
SELECT account_closed AS first FROM usermgmt.remove_user(:'dan', confirm => true) \gset
SELECT usermgmt.use_tenant('beta') AS x \gset
SELECT account_closed AS second FROM usermgmt.remove_user(:'eve', confirm => true) \gset
SELECT account_closed AS third FROM usermgmt.remove_user(:'dan', confirm => true) \gset
SELECT is(concat(:'first', :'second', :'third', pg_temp.closed(:'dan')), 'fttt', 'C12 with the last membership it closes');
ROLLBACK TO SAVEPOINT s;
SELECT account_closed AS first FROM usermgmt.remove_user(:'dan', confirm => true) \gset
SELECT is(:'first' || pg_temp.closed(:'dan')::text || pg_temp.live('dan@acme.test') || pg_temp.try(format('SELECT usermgmt.reset_password(%L, %L)', :'beta_link', 'dans newer password')), 'ffalsetrueUM037', 'C12 the other way round as well');
SELECT usermgmt.use_tenant('acme') AS x \gset
SELECT usermgmt.deactivate_user(:'dan') IS NULL AS x \gset
SELECT usermgmt.use_tenant('beta') AS x, pg_temp.join_too('dan@acme.test') AS y \gset
SELECT is((SELECT account_closed FROM usermgmt.remove_user(:'dan', confirm => true)), false, 'C12 who is deactivated in the other tenant belongs to it all the same');
SELECT is((SELECT outcome FROM usermgmt.log_in('dan@acme.test', 'secret of dan@acme.test')), 'deactivated', 'S0.9 and is not admitted');
SELECT usermgmt.use_tenant('acme') AS x, pg_temp.counted() AS counted \gset
SELECT results_eq(format('SELECT sessions, workspaces, account_closed FROM usermgmt.remove_user(%L, confirm => true)', :'dan'), 'VALUES (0, 2, true)', 'S3.18 a deactivated member can be removed');
SELECT is(pg_temp.counted(), :'counted', 'complaint 15: whose seat was free already');

-- Who never logged in has no password.
SELECT tenant_id AS silent_id FROM usermgmt.create_tenant('silent', 'Silent', 'founder@silent.test') \gset
SELECT usermgmt.use_tenant('silent') AS x, pg_temp.join('next@silent.test') AS next \gset
SELECT user_id AS founder FROM usermgmt.members WHERE email = 'founder@silent.test' \gset
SELECT usermgmt.transfer_ownership(:'next') IS NULL AS x \gset
SELECT results_eq(format('SELECT activity, sessions, account_closed FROM usermgmt.members AS m, usermgmt.remove_user(m.user_id, confirm => true) WHERE m.user_id = %L', :'founder'), $$VALUES ('never_logged_in', 0, true)$$, 'S3.9 S3.35 a founder who never logged in is removed after a transfer of the ownership');
SELECT is_empty(format('SELECT FROM usermgmt.password_reset WHERE user_id = %L AND state = %L', :'founder', 'open'), 'S0.11 with the welcome link');
SELECT is(pg_temp.closed(:'founder') AND pg_temp.join('founder@silent.test') <> :'founder'::uuid, true, 'S3.20 C12 and comes back with a new account');
SELECT usermgmt.use_tenant('acme') AS x \gset

-- One's own removal.
SELECT pg_temp.join('max@acme.test', 'admin') AS max \gset
SELECT usermgmt.use_session(token, 'connection') IS NULL AS x FROM person WHERE email = 'max@acme.test' \gset
SELECT is((SELECT sessions || ' ' || account_closed FROM usermgmt.remove_user(:'max', reason => 'enough', confirm => true)), '1 true', 'S4.7 an admin leaves the tenant');
SELECT is(concat(usermgmt.current_user_id(), usermgmt.current_tenant_id(), usermgmt.has_role('member')) || pg_temp.try('SELECT usermgmt.log_out()') || pg_temp.try(format('SELECT usermgmt.remove_user(%L, confirm => true)', :'carol')), 'fUM001UM001', 'S3.18 which ends the own session, at the next statement of the same transaction');
SELECT usermgmt.end_use() AS x \gset
SELECT is((SELECT actor_user_id || reason FROM usermgmt.audit_event WHERE action = 'user.removed' AND object_id = :'max'), :'max' || 'enough', 'S0.15 the trail names who did it');

-- Bare SQL does the same.
SELECT pg_temp.join('kim@acme.test', 'admin') AS kim \gset
SELECT pg_temp.act('kim@acme.test', 'SELECT pg_temp.invite(''kai@acme.test'')') AS kai, usermgmt.set_workspace_member(:'west', :'kim') IS NULL AS x \gset
SELECT pg_temp.token_of(:'kai') AS kai_token, usermgmt.send_password_reset(:'kim') AS x, pg_temp.counted() AS counted \gset
CREATE FUNCTION pg_temp.end_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	kim uuid := pg_temp.id_of('kim@acme.test');
	answer text;
BEGIN
	EXECUTE statement;
	answer := pg_temp.holds(kim)::text || pg_temp.closed(kim) || pg_temp.live('kim@acme.test') || pg_temp.counted() || pg_temp.events('user.removed', kim::text) || pg_temp.events('account.closed', kim::text)
		|| (SELECT i.state || coalesce(string_agg(o.state, ','), '') FROM usermgmt.invitation AS i LEFT JOIN usermgmt.outbox AS o ON o.subject_id = i.invitation_id WHERE i.email = 'kai@acme.test' GROUP BY i.state)
		|| (SELECT count(*) FROM usermgmt.outbox WHERE subject_id = kim AND kind <> 'removed');
	RAISE SQLSTATE 'XX999';
EXCEPTION WHEN SQLSTATE 'XX999' THEN
	RETURN answer;
WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SELECT pg_temp.end_of(format('SELECT usermgmt.remove_user(%L, confirm => true)', :'kim')) AS by_function \gset
SELECT matches(:'by_function'::text, '^\(0,0,0,0,0\)truefalse\d+\+\d+11revokedcancelled0$', 'S4.7 what a removal ends');
SELECT is(pg_temp.end_of(format(s, :'kim')), :'by_function'::text, 'S4.7 B6 ends as well by ' || what)
	FROM (VALUES ('bare DELETE', 'DELETE FROM usermgmt.membership WHERE user_id = %L'), ('MERGE', 'MERGE INTO usermgmt.membership AS m USING (VALUES (1)) AS o ON m.user_id = %L WHEN MATCHED THEN DELETE'),
		('DELETE in a common table expression', 'WITH d AS (DELETE FROM usermgmt.membership WHERE user_id = %L RETURNING 1) SELECT count(*) FROM d')) AS w (what, s);
SELECT usermgmt.use_tenant('beta') AS x, pg_temp.join_too('kim@acme.test') AS y, usermgmt.use_tenant('acme') AS z \gset
SELECT matches(pg_temp.end_of(format(s, :'kim')), '^\(0,0,0,0,0\)truefalse\d+\+\d+21revokedcancelled0$', 'C12 one DELETE of all memberships of a person closes the account' || how)
	FROM (VALUES (', who signed in in this transaction', 'DELETE FROM usermgmt.membership WHERE user_id = %1$L'), (', who is signed out', 'UPDATE usermgmt.session SET state = ''ended'', ended_at = now() WHERE user_id = %1$L; DELETE FROM usermgmt.membership WHERE user_id = %1$L')) AS w (how, s);
SELECT matches(pg_temp.end_of(format('DELETE FROM usermgmt.membership WHERE user_id = %L AND tenant_id = %L', :'kim', :'acme_id')), '^\(0,0,0,0,0\)falsefalse\d+\+\d+10revokedcancelled0$', 'C12 and one of a single one does not');
SELECT is(pg_temp.try(format('WITH d AS (SELECT ctid FROM usermgmt.membership WHERE user_id IN (%L, %L) ORDER BY user_id = %L' || how || ') DELETE FROM usermgmt.membership AS m USING d WHERE m.ctid = d.ctid', :'kim', :'owner', :'owner')) || pg_temp.live('kim@acme.test'), 'UM030true', 'C8 together with the last owner nobody is removed, in whatever order')
	FROM (VALUES (''), (' DESC')) AS w (how);

-- Notices (S3.32).
CREATE FUNCTION pg_temp.queued() RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(kind || ' ' || recipient, ', ' ORDER BY kind, recipient), '') FROM usermgmt.outbox WHERE state = 'queued' AND kind IN ('role_changed', 'deactivated', 'reactivated', 'removed')
$$;
CREATE FUNCTION pg_temp.sent(OUT kind text, OUT recipient text, OUT subject text, OUT text_body text, OUT html_body text, OUT message_id uuid, OUT fence bigint) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT kind, recipient, subject, text_body, html_body, message_id, fence FROM usermgmt.outbox_claim('test', 1000) WHERE kind IN ('role_changed', 'deactivated', 'reactivated', 'removed') ORDER BY kind, recipient
$$;
SELECT count(*) AS x FROM pg_temp.sent() \gset
SELECT is(pg_temp.queued(), '', 'S3.32 no notice waits');
SELECT usermgmt.update_tenant(name => 'Acme & Söhne') IS NULL AS x, pg_temp.act('carol@acme.test', 'SELECT name FROM usermgmt.update_profile(''Carol <C>'')') AS y \gset
SELECT is(pg_temp.act('ada@acme.test', format(s, :'carol')) IS NOT NULL, true, 'S3.32 ' || what || ' tells nobody')
	FROM (VALUES ('no change of role', 'SELECT usermgmt.change_role(%L, ''member'')'), ('no reactivation', 'SELECT (pg_temp.detail_of(format(''SELECT usermgmt.reactivate_user(%%L)'', %L))).state'), ('no removal', 'SELECT (pg_temp.detail_of(format(''SELECT usermgmt.remove_user(%%L)'', %L))).state'), ('a preview', 'SELECT usermgmt.preview_removal(%L)')) AS c (what, s);
SELECT is(pg_temp.queued(), '', 'S3.32 where nothing changed there is no notice');
SELECT usermgmt.change_role(:'carol', 'admin') IS NULL AS x \gset
SELECT is(pg_temp.queued(), 'role_changed carol@acme.test', 'S3.32 a promoted person is told, and nobody else');
SELECT * FROM pg_temp.sent() \gset notice_
SELECT is(:'notice_kind' || ' ' || :'notice_recipient' || ' ' || :'notice_subject', 'role_changed carol@acme.test Your role in Acme & Söhne is now admin', 'S3.32 by a mail with tenant and role');
SELECT is(:'notice_text_body' LIKE 'Hello Carol <C>,%With it you may: ' || (SELECT string_agg(p.description, ', ' ORDER BY p.position) FROM usermgmt.permission AS p JOIN usermgmt.role_permission AS r USING (permission) WHERE r.role = 'admin') || '.%', true, 'S3.32 that lists the permissions of the new role');
SELECT is(:'notice_text_body' ~ 'manage users' AND :'notice_text_body' !~ 'manage billing', true, 'S3.32 all of them and no others');
SELECT is(:'notice_html_body' ~ 'Hello Carol &lt;C&gt;,' AND :'notice_html_body' ~ 'Acme &amp; Söhne' AND :'notice_html_body' ~ 'manage users', true, 'R23 in HTML too, where nothing is markup');
SELECT usermgmt.change_role(:'carol', 'owner') IS NULL AS x \gset
SELECT is((SELECT subject || ' ' || (text_body ~ 'transfer ownership') FROM pg_temp.sent()), 'Your role in Acme & Söhne is now owner true', 'S3.32 so is a new owner');
SELECT usermgmt.change_role(:'carol', 'member') IS NULL AS x \gset
SELECT is((SELECT subject || ' ' || (text_body ~ 'With it you may: view own evidence, create evidence\.') FROM pg_temp.sent()), 'Your role in Acme & Söhne is now member true', 'S3.32 S4.6 and a person who was downgraded');
SELECT usermgmt.deactivate_user(:'carol', 'a private reason') IS NULL AS x \gset
SELECT is((SELECT concat_ws(' ', kind, recipient, subject, text_body ~ 'Hello Carol <C>', text_body ~ 'was switched off', text_body || html_body || subject ~ 'private') FROM pg_temp.sent()), 'deactivated carol@acme.test Your access to Acme & Söhne was switched off t t f', 'S0.9 a deactivated person is told, but not why');
SELECT usermgmt.reactivate_user(:'carol') IS NULL AS x \gset
SELECT is((SELECT concat_ws(' ', kind, recipient, subject, text_body ~ 'Sign in at http://localhost:3000') FROM pg_temp.sent()), 'reactivated carol@acme.test Your access to Acme & Söhne is back t', 'S0.12 and so when it is back');
SELECT pg_temp.join('lea@acme.test') AS lea \gset
SELECT account_closed AS x FROM usermgmt.remove_user(:'lea', reason => 'a private reason', confirm => true) \gset
SELECT is((SELECT concat_ws(' ', kind, recipient, subject, text_body ~ 'signed out', text_body || html_body || subject ~ 'private') FROM pg_temp.sent()), 'removed lea@acme.test You were removed from Acme & Söhne t f', 'S4.7 so is a removed person, also with a closed account');
SELECT usermgmt.transfer_ownership(:'ada') IS NULL AS x \gset
SELECT results_eq('SELECT recipient, subject, text_body ~ ''transfer ownership'' FROM pg_temp.sent()', $$VALUES ('ada@acme.test', 'Your role in Acme & Söhne is now owner', true), ('owner@acme.test', 'Your role in Acme & Söhne is now admin', false)$$, 'S3.35 S3.32 a transfer of the ownership tells both');
SELECT usermgmt.transfer_ownership(:'owner') IS NULL AS x \gset
SELECT count(*) AS first FROM pg_temp.sent() \gset
SELECT is(:'first'::text || ' ' || (SELECT count(*) FROM pg_temp.sent()), '2 0', 'S3.32 each notice is sent once');

-- A notice that was overtaken is not sent.
SELECT usermgmt.deactivate_user(:'carol') IS NULL AS x, usermgmt.reactivate_user(:'carol') IS NULL AS y \gset
SELECT is(pg_temp.queued(), 'deactivated carol@acme.test, reactivated carol@acme.test', 'S3.32 of two notices');
SELECT is((SELECT string_agg(kind, ',') FROM pg_temp.sent()), 'reactivated', 'S3.32 the one that was overtaken is not sent');
SELECT is((SELECT state || ': ' || reply FROM usermgmt.outbox WHERE kind = 'deactivated' AND subject_id = :'carol' ORDER BY message_id DESC LIMIT 1), 'cancelled: no longer wanted', 'S3.32 but cancelled');
SELECT usermgmt.deactivate_user(:'carol') IS NULL AS x \gset
SELECT * FROM pg_temp.sent() \gset notice_
SELECT usermgmt.reactivate_user(:'carol') IS NULL AS x \gset
SELECT is(usermgmt.outbox_sending(:'notice_message_id', :notice_fence), false, 'S3.32 also when a relay has claimed it');
SELECT count(*) AS x FROM pg_temp.sent() \gset
SELECT usermgmt.change_role(:'carol', 'admin') IS NULL AS x, usermgmt.deactivate_user(:'carol') IS NULL AS y \gset
SELECT is((SELECT string_agg(kind, ',') FROM pg_temp.sent()), 'deactivated', 'S3.32 nobody without access hears of a role');
SELECT usermgmt.reactivate_user(:'carol') IS NULL AS x \gset
SELECT account_closed AS x FROM usermgmt.remove_user(:'carol', confirm => true) \gset
SELECT is((SELECT string_agg(kind, ',') FROM pg_temp.sent()), 'removed', 'S3.32 nor of being back, who is removed');
SELECT is((SELECT account_closed FROM usermgmt.remove_user(:'kim', confirm => true)) || pg_temp.join_too('kim@acme.test')::text, 'false' || :'kim', 'C12 who comes back at once');
SELECT is((SELECT count(*) FROM pg_temp.sent()), 0::bigint, 'S3.32 is not told of a removal');

SELECT usermgmt.change_role(:'kim', 'admin') IS NULL AS x, usermgmt.change_role(:'kim', 'owner') IS NULL AS y \gset
SELECT is((SELECT string_agg(subject, ', ') FROM pg_temp.sent()), 'Your role in Acme & Söhne is now owner', 'S3.32 of two changes of role only the last is told');
SELECT usermgmt.change_role(:'kim', 'admin') IS NULL AS x, usermgmt.deactivate_user(:'kim') IS NULL AS y, usermgmt.reactivate_user(:'kim') IS NULL AS z \gset
SELECT usermgmt.deactivate_user(:'kim') IS NULL AS x \gset
SELECT is((SELECT string_agg(kind, ', ') FROM pg_temp.sent()), 'deactivated', 'S3.32 and so of two deactivations');
SELECT usermgmt.reactivate_user(:'kim') IS NULL AS x \gset
SELECT count(*) AS x FROM pg_temp.sent() \gset

-- Where the tenant does not want them.
SELECT usermgmt.set_tenant_setting('member_notices', 'off') AS x \gset
SELECT usermgmt.change_role(:'kim', 'admin') IS NULL AS x, usermgmt.deactivate_user(:'kim') IS NULL AS y, usermgmt.reactivate_user(:'kim') IS NULL AS z \gset
SELECT pg_temp.join('leo@acme.test') AS leo \gset
SELECT account_closed AS x FROM usermgmt.remove_user(:'leo', confirm => true) \gset
SELECT usermgmt.transfer_ownership(:'ada') IS NULL AS x \gset
SELECT usermgmt.transfer_ownership(:'owner') IS NULL AS x, usermgmt.change_role(:'ada', 'admin') IS NULL AS y \gset
SELECT is(pg_temp.queued(), '', 'S3.32 where member_notices is off nobody is told of anything');
SELECT usermgmt.reset_tenant_setting('member_notices') AS x \gset
SET LOCAL usermgmt.member_notices = off;
SELECT usermgmt.change_role(:'kim', 'member') IS NULL AS x \gset
SELECT is(pg_temp.queued(), '', 'S3.32 nor where the server has it off');
SELECT usermgmt.set_tenant_setting('member_notices', 'on') AS x, usermgmt.change_role(:'kim', 'admin') IS NULL AS y \gset
SELECT is(pg_temp.queued(), 'role_changed kim@acme.test', 'S3.32 unless the tenant has it on');

-- An invitation that is raised to owner (C3).
SELECT pg_temp.sign_in('ada@acme.test') AS x, pg_temp.sign_in('owner@acme.test', 'owner of owner@acme.test') AS y \gset
SELECT usermgmt.set_tenant_setting('allow_owner_invitations', 'on') AS x, pg_temp.invite('oda@acme.test') AS oda \gset
SELECT pg_temp.mail_token('invitation', 'oda@acme.test') AS mailed, pg_temp.token_of(:'oda') AS by_hand \gset
SELECT is(pg_temp.as_('ada', format('SELECT usermgmt.change_invitation_role(%L, %L)', :'oda', 'owner')), '42501', 'S3.2 C3 an admin raises no invitation to owner');
SELECT usermgmt.change_invitation_role(:'oda', 'admin') IS NULL AS x \gset
SELECT is((SELECT count(*) FROM usermgmt.outbox WHERE subject_id = :'oda') || (SELECT role || status FROM usermgmt.preview_invitation(:'by_hand')), '1adminpending', 'S1.7 raised to admin, the links made before hold, and no mail follows');
SELECT pg_temp.act('owner@acme.test', format('SELECT role FROM usermgmt.change_invitation_role(%L, %L)', :'oda', 'owner')) AS x \gset
SELECT is(pg_temp.try(format('SELECT usermgmt.accept_invitation(%L, %L)', t, 'odas long password')) || (SELECT status FROM usermgmt.preview_invitation(t)), 'UM014superseded', 'S3.12 C3 raised to owner, a link that was made for less makes nobody an owner: ' || what) FROM (VALUES ('mailed', :'mailed'), ('by hand', :'by_hand')) AS l (what, t);
SELECT results_eq(format('SELECT kind, recipient, state FROM usermgmt.outbox WHERE subject_id = %L ORDER BY message_id', :'oda'), $$VALUES ('invitation', 'oda@acme.test', 'cancelled'), ('invitation', 'oda@acme.test', 'queued')$$, 'C3 and one new mail takes the place of the old');
SELECT is(pg_temp.as_('ada', format('SELECT usermgmt.%I(%L)', f, :'oda')), '42501', 'S3.2 C3 an admin has nothing to do with such an invitation: ' || f) FROM unnest(ARRAY['invitation_link', 'resend_invitation', 'revoke_invitation']) AS f;
SELECT usermgmt.change_invitation_role(:'oda', 'owner') IS NULL AS x \gset
SELECT is((SELECT count(*) FROM usermgmt.outbox WHERE subject_id = :'oda'), 2::bigint, 'C3 once');
SELECT pg_temp.mail_token('invitation', 'oda@acme.test') AS raised \gset
SELECT usermgmt.change_invitation_role(:'oda', 'member') IS NULL AS x \gset
SELECT is((SELECT role || status FROM usermgmt.preview_invitation(:'raised')), 'memberpending', 'S1.7 lowered again, the link made for more gives less');
SELECT usermgmt.change_invitation_role(:'oda', 'owner') IS NULL AS x \gset
SELECT is((SELECT status FROM usermgmt.preview_invitation(:'raised')), 'superseded', 'C3 and raised again it is void');
SELECT is((SELECT outcome || role FROM usermgmt.accept_invitation(pg_temp.mail_token('invitation', 'oda@acme.test'), 'odas long password')), 'okowner', 'C3 the newest one makes an owner');

-- Who stands in for an inviter who lost the right.
SET LOCAL usermgmt.resend_cooldown = 0;
CREATE TEMPORARY TABLE adopted (how text PRIMARY KEY, call text);
INSERT INTO adopted VALUES ('resend', 'SELECT invited_by FROM usermgmt.resend_invitation(%L)'), ('change of role', 'SELECT invited_by FROM usermgmt.change_invitation_role(%L, ''admin'')');
CREATE FUNCTION pg_temp.adoption(loss text, by_whom text, call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	mia uuid;
	id uuid;
	token text;
	orphaned text;
	inviter text;
	answer text;
BEGIN
	mia := pg_temp.join('mia@acme.test', 'admin');
	id := pg_temp.act('mia@acme.test', 'SELECT pg_temp.invite(''nia@acme.test'')');
	token := pg_temp.token_of(id);
	EXECUTE format(loss, mia);
	orphaned := (SELECT status FROM usermgmt.preview_invitation(token));
	IF by_whom IS NULL THEN
		EXECUTE format(call, id) INTO inviter;
	ELSE
		inviter := pg_temp.act(by_whom, format(call, id));
	END IF;
	answer := concat_ws(' ', orphaned, CASE inviter WHEN mia::text THEN 'mia' WHEN pg_temp.id_of(by_whom)::text THEN 'caller' ELSE coalesce(inviter, 'operator') END, (SELECT invited_by_email FROM usermgmt.invitation WHERE invitation_id = id), pg_temp.state_of(format('SELECT usermgmt.accept_invitation(%L, %L)', token, 'nias long password')));
	RAISE SQLSTATE 'XX999';
EXCEPTION WHEN SQLSTATE 'XX999' THEN
	RETURN answer;
END $$;
SELECT is(pg_temp.adoption(loss, by_whom, call), outcome, 'D12 ' || what || ': ' || how)
	FROM (VALUES ('the inviter stays who may invite', 'SELECT %L', 'ada@acme.test', 'pending mia mia@acme.test ok'),
		('whoever handles the invitation of a demoted admin stands in as inviter', 'SELECT usermgmt.change_role(%L, ''member'')', 'ada@acme.test', 'revoked caller ada@acme.test ok'),
		('of a deactivated one', 'SELECT usermgmt.deactivate_user(%L)', 'ada@acme.test', 'revoked caller ada@acme.test ok'),
		('an owner too', 'SELECT usermgmt.deactivate_user(%L)', 'owner@acme.test', 'revoked caller owner@acme.test ok'),
		('an operator is no inviter, and the invitation holds', 'SELECT usermgmt.deactivate_user(%L)', NULL, 'revoked operator ok')) AS c (what, loss, by_whom, outcome), adopted;

-- A subtransaction that counts people while a statement outside of it has noted some, too.
SELECT pg_temp.join('pia@acme.test') AS pia, pg_temp.join('quin@acme.test') AS quin \gset
SELECT count(usermgmt.set_workspace_member((usermgmt.create_workspace('w' || n, 'W')).workspace_id, :'quin')) AS x FROM generate_series(1, 40) AS n \gset
DELETE FROM usermgmt.membership WHERE tenant_id = :'acme_id' AND user_id = :'pia' RETURNING (usermgmt.preview_removal(:'quin')).workspaces \gset
SELECT is(:'workspaces'::integer, 40, 'S3.34 a removal is previewed while a statement deletes somebody else');
SELECT is_empty($$SELECT object, detail FROM usermgmt.check() WHERE problem = 'members are counted wrong'$$, 'S3.10 and everybody is counted once');
SELECT * FROM finish();
ROLLBACK;
