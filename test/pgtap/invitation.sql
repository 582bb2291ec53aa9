-- Invitations: made, mailed, resent, reopened, taken back, accepted once.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('other') AS other_id, pg_temp.join('eve@other.test', 'admin') AS eve \gset
SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('admin@acme.test', 'admin') AS admin, pg_temp.join('bob@acme.test') AS bob \gset
CREATE FUNCTION pg_temp.as_admin(statement text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.act('admin@acme.test', statement)
$$;
CREATE FUNCTION pg_temp.accept(token text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT usermgmt.accept_invitation(%L, %L)', token, 'a good password'))
$$;
CREATE FUNCTION pg_temp.status_of(id uuid) RETURNS text LANGUAGE sql AS $$
	SELECT status FROM usermgmt.invitations WHERE invitation_id = id
$$;
CREATE FUNCTION pg_temp.preview_of(token text) RETURNS text LANGUAGE sql AS $$
	SELECT status FROM usermgmt.preview_invitation(token)
$$;
CREATE FUNCTION pg_temp.mails_of(id uuid) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM usermgmt.mail_queue WHERE subject_id = id
$$;
CREATE FUNCTION pg_temp.cool_down(id uuid) RETURNS void LANGUAGE sql AS $$
	UPDATE usermgmt.invitation SET queued_at = queued_at - interval '1 hour' WHERE invitation_id = id
$$;
CREATE FUNCTION pg_temp.expire(id uuid) RETURNS void LANGUAGE sql AS $$
	UPDATE usermgmt.invitation SET queued_at = queued_at - interval '8 days', expires_at = clock_timestamp() - interval '1 second' WHERE invitation_id = id
$$;

-- Inviting.
SELECT user_id AS x FROM usermgmt.use_session((SELECT token FROM person WHERE email = 'admin@acme.test')) \gset
SELECT * FROM usermgmt.invite_user('carol@acme.test') \gset
SELECT usermgmt.end_use() AS x \gset
SELECT is(:'email' || ' ' || :'status' || ' ' || :'role', 'carol@acme.test pending member', 'S4.4 S2.1 inviting returns address and status pending, and the role is member by default (S2.23, S3.31)');
SELECT is((SELECT expires_at FROM usermgmt.invitation AS i WHERE i.invitation_id = :'invitation_id'), :'expires_at'::timestamptz, 'S4.4 and its id and when it expires');
SELECT is(:'expires_at'::timestamptz - :'created_at'::timestamptz, interval '7 days', 'S1.4 C1 an invitation lives seven days');
SELECT is(concat(:'invited_by', :'invited_by_email'), concat(:'admin', 'admin@acme.test'), 'S2.8 it says who invited');
SELECT is(pg_temp.mails_of(:'invitation_id'), 1::bigint, 'S2.2 and queues exactly one mail');
SELECT results_eq($$SELECT email, status, created_at IS NOT NULL, expires_at > now(), invitation_id IS NOT NULL FROM usermgmt.pending_invitations$$, $$VALUES ('carol@acme.test', 'pending', true, true, true)$$,
	'S2.8 S0.1 the pending ones are listed with address, id, status, creation and expiry');
SELECT :'invitation_id' AS carol, :'expires_at' AS carol_expiry \gset
SELECT is((SELECT role FROM usermgmt.invite_user('by-role@acme.test', 'admin')), 'admin', 'S1.6 S3.11 the role is given when inviting');
SELECT is((SELECT expires_at - created_at FROM usermgmt.invite_user('by-arg@acme.test', expires_in => '2 days')), interval '2 days', 'C1 S1.4 the lifetime can be given with an invitation');
SET LOCAL usermgmt.invitation_ttl = '3d';
SELECT is((SELECT expires_at - created_at FROM usermgmt.invite_user('by-server@acme.test')), interval '3 days', 'C1 S1.4 S2.20 is a setting of the server');
UPDATE usermgmt.tenant SET settings = '{"invitation_ttl": "72h"}' WHERE tenant_id = :'acme_id';
SET LOCAL usermgmt.invitation_ttl = '30d';
SELECT is((SELECT expires_at - created_at FROM usermgmt.invite_user('by-tenant@acme.test')), interval '72 hours', 'C1 S2.20 and of the tenant');
RESET usermgmt.invitation_ttl;
UPDATE usermgmt.tenant SET settings = '{}';
SELECT is_empty($$SELECT e FROM unnest(ARRAY['0', '-1 day', '100 years', '-178000000 years', '1 month -40 days']) AS e WHERE pg_temp.try(format('SELECT usermgmt.invite_user(''x@acme.test'', expires_in => %L)', e)) <> '22023'$$,
	'S1.4 a lifetime that is none is refused');
SELECT is_empty($$SELECT w FROM unnest(ARRAY['{"client-a": "viewer"}', '["client-a"]', '{"00000000-0000-7000-8000-000000000000": "member"}']) AS w
		WHERE pg_temp.try(format('SELECT usermgmt.invite_user(''x@acme.test'', workspaces => %L)', w)) <> 'UM002'$$, 'S4.1 an unknown workspace is not found');
SELECT is(pg_temp.try(format('SELECT usermgmt.invite_user(%L, %L)', 'x@acme.test', r)), '22023', 'S0.19 no role is called ' || coalesce(quote_literal(r), 'NULL')) FROM unnest(ARRAY['superadmin', '', 'Member', 'viewer']) AS r;
SELECT pg_temp.contents() AS before \gset
SELECT throws_ok($$SELECT usermgmt.invite_user('bob@acme.test')$$, 'UM032', NULL, 'S2.1 a member is not invited');
SELECT throws_ok($$SELECT usermgmt.invite_user('carol@acme.test')$$, 'UM033', NULL, 'S0.3 B10 one open invitation per address');
SELECT is(pg_temp.contents(), :'before'::jsonb, 'S2.2 and a refused invitation mails nobody');
UPDATE usermgmt.tenant SET settings = '{"invitations_enabled": "off"}' WHERE tenant_id = :'acme_id';
SELECT is(concat_ws(' ', pg_temp.try($$SELECT usermgmt.invite_user('x@acme.test')$$), pg_temp.try(format('SELECT usermgmt.resend_invitation(%L)', :'carol'))), 'UM040 UM040', 'S2.25 invitations can be switched off for a tenant');
UPDATE usermgmt.tenant SET settings = '{}';

-- Owners (S3.12, C3).
SELECT is(pg_temp.try(format('SELECT pg_temp.act(%L, %L)', who, $$SELECT usermgmt.invite_user('x@acme.test', 'owner')$$)), 'UM038', 'S3.12 an owner can not be invited, not by ' || who) FROM unnest(ARRAY['owner@acme.test', 'admin@acme.test']) AS who;
SELECT throws_ok($$SELECT usermgmt.invite_user('x@acme.test', 'owner')$$, 'UM038', NULL, 'S3.12 nor by an operator');
UPDATE usermgmt.tenant SET settings = '{"allow_owner_invitations": "on"}' WHERE tenant_id = :'acme_id';
SELECT is(pg_temp.try(format('SELECT pg_temp.act(%L, %L)', 'owner@acme.test', $$SELECT usermgmt.invite_user('x@acme.test', 'owner')$$)), 'ok', 'C3 where a tenant allows it, by an owner');
SELECT is(pg_temp.try(format('SELECT pg_temp.act(%L, %L)', 'admin@acme.test', $$SELECT usermgmt.invite_user('x@acme.test', 'owner')$$)), '42501', 'C3 but nobody invites above the own role');
SELECT pg_temp.try(format('SELECT pg_temp.act(%L, %L)', 'eve@other.test', $$SELECT usermgmt.invite_user('x@acme.test', 'owner')$$)) AS x \gset
SELECT is(:'x'::text, 'UM038', 'C3 and no other tenant');
UPDATE usermgmt.tenant SET settings = '{}';

-- Accepting.
SELECT pg_temp.token_of(:'carol') AS token \gset
SELECT pg_temp.contents() AS before \gset
SELECT results_eq(format('SELECT tenant_name, email, role, status, expires_at, account_exists FROM usermgmt.preview_invitation(%L)', :'token'),
	format($$VALUES ('Acme', 'carol@acme.test', 'member', 'pending', %L::timestamptz, false)$$, :'carol_expiry'), 'S2.3 a link can be looked at');
SELECT is(pg_temp.contents(), :'before'::jsonb, 'S2.3 which consumes and writes nothing');
CREATE ROLE tap_invitation_app;
SELECT usermgmt.grant_access('tap_invitation_app', 'application') AS x \gset
SELECT is(pg_temp.run_as('tap_invitation_app', format('SELECT status FROM usermgmt.preview_invitation(%L)', :'token')), 'pending', 'S2.3 without a session, by the application');
SELECT throws_ok(format('SELECT usermgmt.accept_invitation(%L)', :'token'), 'UM021', NULL, 'S2.3 a new person chooses a password');
SELECT is(pg_temp.status_of(:'carol'), 'pending', 'S2.3 and a rejected one uses nothing up');
SELECT set_config('tap.outcome', pg_temp.run_as('tap_invitation_app', format('SELECT row_to_json(s)::text FROM usermgmt.accept_invitation(%L, %L, %L, %L, %L) AS s', :'token', 'carols own password', 'Carol', '192.0.2.9', 'Browser')), true) AS carol_start \gset
SELECT :'carol_start'::jsonb ->> 'user_id' AS carol_id, :'carol_start'::jsonb ->> 'session_token' AS carol_token \gset
SELECT is(:'carol_start'::jsonb ->> 'outcome', 'ok', 'S2.3 following a valid link and setting a password works');
SELECT results_eq(format('SELECT email, name, password_hash LIKE %L FROM usermgmt.account WHERE user_id = %L', '$argon2id$%', :'carol_id'), $$VALUES ('carol@acme.test', 'Carol', true)$$, 'S2.3 it creates the account');
SELECT results_eq(format('SELECT role, status FROM usermgmt.members WHERE user_id = %L', :'carol_id'), $$VALUES ('member', 'active')$$, 'S2.3 joins the tenant in the role offered');
SELECT results_eq(format('SELECT status, accepted_by, accepted_at IS NOT NULL, can_resend, can_revoke FROM usermgmt.invitations WHERE invitation_id = %L', :'carol'),
	format($$VALUES ('accepted', %L::uuid, true, false, false)$$, :'carol_id'), 'S2.3 S2.7 and sets the status to accepted');
SELECT is((SELECT user_id FROM usermgmt.use_session(:'carol_token')), :'carol_id'::uuid, 'S2.3 the person is signed in');
SELECT usermgmt.end_use() AS x \gset
SELECT is((SELECT outcome FROM usermgmt.log_in('carol@acme.test', 'carols own password')), 'ok', 'S2.3 and signs in again by the password');
SELECT throws_ok(format('SELECT usermgmt.accept_invitation(%L, %L)', :'token', 'carols own password'), 'UM012', NULL, 'S2.11 S2.15 the token works once');
SELECT is(pg_temp.preview_of(:'token'), 'accepted', 'S2.7 and says so when looked at');
SELECT is_empty(format('SELECT * FROM usermgmt.membership WHERE user_id = %L AND tenant_id = %L', :'carol_id', :'other_id'), 'S2.10 it joins no other tenant');
SELECT pg_temp.token_of(pg_temp.invite('dave@acme.test')) AS dave_token \gset
SELECT usermgmt.use_tenant('other') AS x \gset
SELECT is((SELECT tenant_id FROM usermgmt.accept_invitation(:'dave_token', 'daves own password')), :'acme_id'::uuid, 'S2.10 whatever tenant is selected, it opens its own');
SELECT usermgmt.use_tenant('acme') AS x \gset
SELECT pg_temp.invite('role@acme.test') AS role_invitation \gset
UPDATE usermgmt.invitation SET role = 'admin' WHERE invitation_id = :'role_invitation';
SELECT is((SELECT role FROM usermgmt.accept_invitation(pg_temp.token_of(:'role_invitation'), 'a good password')), 'admin', 'S1.7 acceptance grants the role of that moment');
SELECT pg_temp.invite('member@acme.test') AS late, pg_temp.token_of((SELECT invitation_id FROM usermgmt.invitation WHERE email = 'by-arg@acme.test')) AS x \gset
INSERT INTO usermgmt.account (user_id, email, canonical_email, password_hash) SELECT '00000000-0000-7000-8000-00000000beef', 'member@acme.test', '', password_hash FROM usermgmt.account WHERE email = 'bob@acme.test';
INSERT INTO usermgmt.membership (tenant_id, user_id, role) VALUES (:'acme_id', '00000000-0000-7000-8000-00000000beef', 'member');
SELECT is(pg_temp.try(format('SELECT usermgmt.accept_invitation(%L, %L)', pg_temp.token_of(:'late'), 'secret of bob@acme.test')), 'UM032', 'S2.3 who has become a member otherwise is one already');

-- Expired (S2.4).
SELECT pg_temp.invite('erin@acme.test') AS erin \gset
SELECT pg_temp.token_of(:'erin') AS erin_token, pg_temp.expire(:'erin') AS x \gset
SELECT is(pg_temp.accept(:'erin_token'), 'UM011', 'S2.4 a link past its time gives an error of its own');
SELECT is(pg_temp.status_of(:'erin') || ' ' || pg_temp.preview_of(:'erin_token'), 'expired expired', 'S2.7 S0.1 the status is expired');
SELECT throws_ok(format('SELECT usermgmt.invitation_link(%L)', :'erin'), 'UM036', NULL, 'S2.16 there is no link to copy any more');
SELECT throws_ok($$SELECT usermgmt.invite_user('erin@acme.test')$$, 'UM033', NULL, 'S3.30 an expired invitation is resent');
SELECT pg_temp.events('invitation.resent', :'erin') AS resent_before \gset
SELECT expires_at > now() + interval '6 days' AS fresh, status FROM usermgmt.resend_invitation(:'erin') \gset
SELECT is(:'fresh' || ' ' || :'status', 't pending', 'S0.5 C2 resending an expired invitation makes it acceptable again');
SELECT is(pg_temp.mails_of(:'erin'), 2::bigint, 'S0.5 and queues one mail');
SELECT is(pg_temp.events('invitation.reopened', :'erin') || ' ' || pg_temp.events('invitation.resent', :'erin') - :resent_before, '1 0', 'C2 which is an action of its own');
SELECT is(pg_temp.accept(pg_temp.token_of(:'erin')), 'ok', 'S0.5 its link works');
SELECT pg_temp.expire(:'erin') AS x \gset
SELECT is((SELECT status FROM usermgmt.revoke_invitation(:'erin')), 'revoked', 'S3.30 an expired invitation can be revoked');
SELECT is((SELECT status FROM usermgmt.invite_user('erin@acme.test')), 'pending', 'S3.30 and the person invited again');

-- Resending a pending one (S0.4, S2.5, S2.6, S1.14, C2).
SELECT pg_temp.invite('frank@acme.test') AS frank \gset
SELECT pg_temp.token_of(:'frank') AS frank_token, expires_at AS frank_expiry FROM usermgmt.invitation WHERE invitation_id = :'frank' \gset
SELECT throws_ok(format('SELECT usermgmt.resend_invitation(%L)', :'frank'), 'UM039', NULL, 'S3.36 resending at once is too soon');
SELECT is((SELECT can_resend FROM usermgmt.invitations WHERE invitation_id = :'frank'), false, 'S0.2 and the list says so');
SELECT pg_temp.cool_down(:'frank') AS x \gset
SELECT is((SELECT can_resend FROM usermgmt.invitations WHERE invitation_id = :'frank'), true, 'S3.36 after the cool-down it can be');
SELECT pg_temp.mail_token('x', 'x') AS x \gset
SELECT pg_temp.events('invitation.resent', :'frank') AS resent_before \gset
SELECT is((SELECT expires_at FROM usermgmt.resend_invitation(:'frank')), :'frank_expiry'::timestamptz, 'S1.14 C2 resending does not change the expiry');
SELECT is((SELECT count(*) FROM usermgmt.mail_queue WHERE subject_id = :'frank' AND state = 'queued'), 1::bigint, 'S0.4 S2.5 it queues exactly one new mail');
SELECT is(pg_temp.events('invitation.resent', :'frank') - :resent_before, 1::bigint, 'S2.6 and logs an audit event');
SELECT is((SELECT status FROM usermgmt.preview_invitation(:'frank_token')), 'pending', 'C2 the earlier link keeps working');
SELECT is((SELECT status FROM usermgmt.preview_invitation(pg_temp.mail_token('invitation', 'frank@acme.test'))), 'pending', 'C2 and so does the one in the new mail');
SELECT is(pg_temp.accept(:'frank_token'), 'ok', 'C2 which keeps working');
SELECT pg_temp.cool_down(:'frank') AS x \gset
SELECT is((SELECT expires_at > :'frank_expiry'::timestamptz FROM usermgmt.resend_invitation(:'frank', extend => true)), true, 'C2 unless it is asked to extend');
UPDATE usermgmt.tenant SET settings = '{"resend_keeps_old_links": "off"}' WHERE tenant_id = :'acme_id';
SELECT pg_temp.cool_down(:'frank') AS x, status AS y FROM usermgmt.invitations WHERE invitation_id = :'frank' \gset
SELECT status AS x FROM usermgmt.resend_invitation(:'frank') \gset
SELECT is(pg_temp.accept(:'frank_token') || ' ' || pg_temp.accept(pg_temp.token_of(:'frank')), 'UM014 ok', 'C2 where a tenant wants it, a resend voids earlier links');
SELECT is(pg_temp.preview_of(:'frank_token'), 'superseded', 'C2 and they say so when looked at');
UPDATE usermgmt.tenant SET settings = '{}';

-- Revoking (S0.6).
SELECT pg_temp.invite('gina@acme.test') AS gina \gset
SELECT pg_temp.token_of(:'gina') AS gina_token \gset
SELECT is(pg_temp.as_admin(format('SELECT status || revoke_reason || (revoked_by = %L) || (revoked_at IS NOT NULL) FROM usermgmt.revoke_invitation(%L, %L)', :'admin', :'gina', 'typo')), 'revokedtypotruetrue',
	'S0.6 a pending invitation can be revoked, and it is kept who and why');
SELECT is(pg_temp.accept(:'gina_token'), 'UM013', 'S0.6 its link is refused');
SELECT is(pg_temp.preview_of(:'gina_token'), 'revoked', 'S0.6 and says so when looked at');
SELECT is((SELECT state FROM usermgmt.mail_queue WHERE subject_id = :'gina'), 'cancelled', 'S0.6 its mail is not sent');
SELECT is_empty(format('SELECT * FROM usermgmt.pending_invitations WHERE invitation_id = %L', :'gina'), 'S0.1 it is not listed as pending');
SELECT is(pg_temp.try(format('SELECT usermgmt.%s(%L)', f, i)), 'UM036', 'S0.3 no ' || f || ' of one that is ' || what)
	FROM unnest(ARRAY['resend_invitation', 'revoke_invitation', 'invitation_link']) AS f, (VALUES ('revoked', :'gina'), ('accepted', :'carol')) AS d (what, i);
SELECT is(pg_temp.try($$SELECT usermgmt.invite_user('gina@acme.test')$$), 'ok', 'S0.6 the person can be invited again');
SELECT pg_temp.invite('hugo@acme.test') AS hugo \gset
SELECT pg_temp.token_of(:'hugo') AS hugo_token \gset
UPDATE usermgmt.invitation SET state = 'revoked', revoked_at = now() WHERE invitation_id = :'hugo';
SELECT is(pg_temp.accept(:'hugo_token'), 'UM013', 'S0.6 a bare UPDATE revokes as well');
SELECT is_empty(format('SELECT * FROM usermgmt.outbox_claim(%L, 1000) WHERE recipient = %L', 'test', 'hugo@acme.test'), 'S0.6 and its mail is not sent either');

-- The link by hand (S2.16).
SELECT pg_temp.invite('ida@acme.test') AS ida \gset
SELECT matches(pg_temp.as_admin(format('SELECT usermgmt.invitation_link(%L)', :'ida')), '^http://localhost:3000/accept-invitation\?token=[A-Za-z0-9_-]+$', 'S2.16 an admin gets the link to copy by hand');
SELECT is(pg_temp.accept(pg_temp.token_of(:'ida')), 'ok', 'S2.16 and it works');

-- What the list says is what the functions do (S0.2).
SELECT pg_temp.invite('jan@acme.test') AS jan, pg_temp.invite('kim@acme.test') AS kim \gset
SELECT pg_temp.expire(:'jan') AS x, pg_temp.cool_down(:'kim') AS y \gset
CREATE FUNCTION pg_temp.lies() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', email, status, can_resend, can_revoke) FROM usermgmt.invitations
	WHERE can_resend IS DISTINCT FROM (pg_temp.try(format('SELECT usermgmt.resend_invitation(%L)', invitation_id)) = 'ok')
		OR can_revoke IS DISTINCT FROM (pg_temp.try(format('SELECT usermgmt.revoke_invitation(%L)', invitation_id)) = 'ok')
$$;
SELECT set_eq('SELECT DISTINCT status, can_resend, can_revoke FROM usermgmt.invitations',
	$$VALUES ('pending', true, true), ('pending', false, true), ('expired', true, true), ('accepted', false, false), ('revoked', false, false)$$, 'S0.2 each state allows what it allows');
SELECT is_empty('SELECT pg_temp.lies()', 'S0.2 which is what the functions accept');
UPDATE usermgmt.tenant SET settings = '{"invitations_enabled": "off"}' WHERE tenant_id = :'acme_id';
SELECT is_empty('SELECT pg_temp.lies()', 'S0.2 also with invitations switched off');
UPDATE usermgmt.tenant SET settings = '{"resend_cooldown": "0"}' WHERE tenant_id = :'acme_id';
SELECT is_empty('SELECT pg_temp.lies()', 'S0.2 also without a cool-down');
UPDATE usermgmt.tenant SET settings = '{}', suspended_at = now() WHERE tenant_id = :'acme_id';
SELECT is_empty('SELECT pg_temp.lies()', 'S0.2 also in a suspended tenant');
UPDATE usermgmt.tenant SET suspended_at = NULL WHERE tenant_id = :'acme_id';

-- States, by bare SQL (S0.3).
SELECT is_empty(
	$$SELECT i.state, n FROM (SELECT DISTINCT ON (state) state, invitation_id FROM usermgmt.invitation WHERE state <> 'pending') AS i, unnest(ARRAY['pending', 'accepted', 'revoked']) AS n
		WHERE i.state <> n AND pg_temp.try(format('UPDATE usermgmt.invitation SET state = %L, accepted_at = CASE WHEN %L = ''accepted'' THEN now() END,
			accepted_by = CASE WHEN %L = ''accepted'' THEN gen_random_uuid() END, revoked_at = CASE WHEN %L = ''revoked'' THEN now() END, revoked_by = NULL, revoke_reason = NULL
			WHERE invitation_id = %L', n, n, n, n, i.invitation_id)) <> 'UM036'$$, 'S0.3 no bare UPDATE leads out of accepted or revoked');
SELECT is_empty($$SELECT s FROM unnest(ARRAY['expired', 'sent', '', NULL]) AS s WHERE pg_temp.try(format('UPDATE usermgmt.invitation SET state = %L WHERE invitation_id = (SELECT invitation_id FROM usermgmt.invitation WHERE state = ''pending'' LIMIT 1)', s)) <> 'UM036'$$,
	'S0.3 nor into a state that is none');
SELECT is_empty($$SELECT s FROM unnest(ARRAY['accepted', 'revoked']) AS s WHERE pg_temp.try(format('INSERT INTO usermgmt.invitation (invitation_id, tenant_id, email, canonical_email, role, state, created_at, queued_at,
		expires_at, accepted_at, accepted_by, revoked_at) SELECT gen_random_uuid(), tenant_id, ''z@z.test'', ''z@z.test'', ''member'', %L, now(), now(), now(), CASE WHEN %L = ''accepted'' THEN now() END,
		CASE WHEN %L = ''accepted'' THEN gen_random_uuid() END, CASE WHEN %L = ''revoked'' THEN now() END FROM usermgmt.tenant LIMIT 1', s, s, s, s)) <> 'UM036'$$, 'S0.3 an invitation begins as pending');
SELECT is(pg_temp.try('DELETE FROM usermgmt.invitation'), '42501', 'S0.3 an invitation is never deleted');
SELECT is(pg_temp.try('TRUNCATE usermgmt.invitation CASCADE'), '42501', 'S0.3 not even by TRUNCATE');
SELECT throws_ok(format('UPDATE usermgmt.invitation SET accepted_at = now() WHERE invitation_id = %L', :'kim'), '23514', NULL, 'S0.3 accepted means accepted, by whom and when');

-- Who may see what.
SELECT pg_temp.sign_in('bob@acme.test') AS x \gset
SELECT is(pg_temp.act('bob@acme.test', 'SELECT count(*) FROM usermgmt.invitations'), '0', 'S3.1 a member sees no invitation');
SELECT is(pg_temp.act('eve@other.test', 'SELECT count(*) FROM usermgmt.invitations WHERE email LIKE ''%acme%'''), '0', 'S4.8 nor does another tenant''s admin');
SELECT is_empty($$SELECT email FROM usermgmt.invitations WHERE status NOT IN ('pending', 'accepted', 'expired', 'revoked')$$, 'S0.3 an invitation is in one of four states');

-- Turned down, and the role changed while open.
SELECT pg_temp.tenant('rho') AS rho_id \gset
SELECT pg_temp.invite('nora@rho.test') AS nora \gset
SELECT pg_temp.token_of(:'nora') AS nora_token \gset
SELECT is((SELECT role FROM usermgmt.change_invitation_role(:'nora', 'admin', 'she leads')), 'admin', 'S1.7 the role of an open invitation can be changed');
SELECT is((SELECT reason FROM usermgmt.audit_trail WHERE action = 'invitation.role_changed' AND object_id = :'nora'), 'she leads', 'S3.15 with the reason in the trail');
SELECT is((SELECT role FROM usermgmt.preview_invitation(:'nora_token')), 'admin', 'S1.7 and the link offers the new one');
SELECT is((SELECT role FROM usermgmt.accept_invitation(:'nora_token', 'secret of nora')), 'admin', 'S1.7 and acceptance grants it');
SELECT is(pg_temp.try(format('SELECT usermgmt.change_invitation_role(%L, %L)', :'nora', 'member')), 'UM036', 'S0.3 the role of an accepted invitation can not be changed');
SELECT pg_temp.invite('otto@rho.test') AS otto \gset
SELECT is(pg_temp.try(format('SELECT usermgmt.change_invitation_role(%L, %L)', :'otto', 'owner')), 'UM038', 'S3.12 nor made that of an owner');
SELECT pg_temp.token_of(:'otto') AS otto_token \gset
SELECT is((SELECT status FROM usermgmt.decline_invitation(:'otto_token')), 'declined', 'S0.3 the invited person can decline');
SELECT results_eq(format('SELECT status, can_resend, can_revoke, declined_at IS NOT NULL FROM usermgmt.invitations WHERE invitation_id = %L', :'otto'), $$VALUES ('declined', false, false, true)$$, 'S0.2 and the list says so');
SELECT is(pg_temp.try(format('SELECT usermgmt.accept_invitation(%L, %L)', :'otto_token', 'secret of otto')), 'UM013', 'S0.3 a declined invitation can not be accepted');
SELECT is(pg_temp.try(format('SELECT usermgmt.decline_invitation(%L)', :'otto_token')), 'UM013', 'S0.3 nor declined again');
SELECT is(pg_temp.try(format('SELECT usermgmt.resend_invitation(%L)', :'otto')) || pg_temp.try(format('SELECT usermgmt.revoke_invitation(%L)', :'otto')), 'UM036UM036', 'S0.3 nor resent or revoked');
SELECT is((SELECT count(*) FROM usermgmt.mail_queue WHERE subject_id = :'otto' AND state = 'queued'), 0::bigint, 'S2.15 its unsent mail is cancelled');
SELECT is(pg_temp.events('invitation.declined', :'otto'), 1::bigint, 'S0.15 declining writes one audit entry');
SELECT is(pg_temp.try($$SELECT usermgmt.invite_user('otto@rho.test')$$), 'ok', 'S3.30 the person can be invited again');

-- What is returned is made by hand, so it must be what the view shows.
SELECT user_id AS x FROM usermgmt.use_session((SELECT token FROM person WHERE email = 'owner@rho.test')) \gset
SELECT to_jsonb(i) AS at_once FROM usermgmt.invite_user('at-once@rho.test', 'admin', '{}', 'Welcome', NULL, NULL, 'Norma') AS i \gset
SELECT to_jsonb(i) AS later FROM usermgmt.invite_user('later@rho.test', send_at => now() + interval '1 day') AS i \gset
SELECT is(:'at_once'::jsonb, (SELECT to_jsonb(i) FROM usermgmt.invitations AS i WHERE email = 'at-once@rho.test'), 'P3 inviting returns what the view invitations shows');
SELECT is(:'later'::jsonb, (SELECT to_jsonb(i) FROM usermgmt.invitations AS i WHERE email = 'later@rho.test'), 'P3 also when the mail is to go later');
SELECT usermgmt.end_use() AS x \gset

SELECT * FROM finish();
ROLLBACK;
