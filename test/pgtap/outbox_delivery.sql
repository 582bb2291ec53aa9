-- What becomes of mails: every state of delivery, reminders, languages,
-- suspension, held back and suppressed addresses, statistics.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('admin@acme.test', 'admin') AS admin \gset
SELECT count(*) AS x FROM usermgmt.outbox_claim('test', 1000) \gset
CREATE FUNCTION pg_temp.delivery(address text) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(delivery, 'none') FROM usermgmt.invitations WHERE email = address ORDER BY created_at DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.states(address text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(state, ' ' ORDER BY message_id) FROM usermgmt.outbox WHERE recipient = address
$$;
-- Claims what is due, reports these as accepted by a mail server, gives how many.
CREATE FUNCTION pg_temp.deliver() RETURNS integer LANGUAGE sql AS $$
	SELECT count(*) FILTER (WHERE usermgmt.outbox_sending(message_id, fence) AND usermgmt.outbox_sent(message_id, fence, '250 ok'))::integer
	FROM usermgmt.outbox_claim('test', 1000)
$$;
CREATE FUNCTION pg_temp.mails_to(address text, mail_kind text) RETURNS integer LANGUAGE sql AS $$
	SELECT count(*)::integer FROM usermgmt.outbox WHERE recipient = address AND kind = mail_kind
$$;

-- Every state of delivery at the invitation (S3.36).
SELECT pg_temp.invite('d@acme.test') AS d \gset
SELECT is(pg_temp.delivery('d@acme.test'), 'queued', 'S3.36 delivery: queued');
SELECT message_id AS m, fence AS f FROM usermgmt.outbox_claim('test', 1) \gset
SELECT is(pg_temp.delivery('d@acme.test'), 'queued', 'S3.36 delivery: still queued while a relay has it');
SELECT usermgmt.outbox_failed(:'m', :f, false, '451 4.7.1 greylisted') AS x \gset
SELECT results_eq(format('SELECT delivery, delivery_detail FROM usermgmt.invitations WHERE invitation_id = %L', :'d'), $$VALUES ('deferred', '451 4.7.1 greylisted')$$, 'S3.36 delivery: deferred, with the server''s words');
UPDATE usermgmt.outbox SET due_at = clock_timestamp() WHERE message_id = :'m';
SELECT fence AS f FROM usermgmt.outbox_claim('test', 1) \gset
SELECT usermgmt.outbox_failed(:'m', :f, true, '550 5.1.1 unknown') AS x \gset
SELECT is(pg_temp.delivery('d@acme.test'), 'failed', 'S3.36 delivery: failed');
SELECT results_eq($$SELECT dead, last_error, last_error_at IS NOT NULL FROM usermgmt.outbox_statistics$$, $$VALUES (1, '550 5.1.1 unknown', true)$$, 'R29 the dead are counted, and the last error is shown');
SELECT usermgmt.outbox_retry(:'m') AS x \gset
SELECT results_eq(format('SELECT state, attempts FROM usermgmt.outbox WHERE message_id = %L', :'m'), $$VALUES ('queued', 2)$$, 'R2 a dead mail is queued again');
SELECT is(pg_temp.deliver(), 1, 'R2 and sent');
SELECT results_eq(format('SELECT outcome, reply FROM usermgmt.outbox_attempt WHERE message_id = %L ORDER BY fence', :'m'),
	$$VALUES ('deferred', '451 4.7.1 greylisted'), ('dead', '550 5.1.1 unknown'), ('sent', '250 ok')$$, 'R2 its whole history is kept');
SELECT is(pg_temp.delivery('d@acme.test'), 'sent', 'S3.36 delivery: sent');
SELECT usermgmt.outbox_bounced(format('<%s@localhost>', :'m'), 'd@acme.test', '5.1.1', 'no such user') AS x \gset
SELECT is(pg_temp.delivery('d@acme.test'), 'bounced', 'S3.36 delivery: bounced');
SELECT results_eq('SELECT address, reason FROM usermgmt.suppressed_addresses', $$VALUES ('d@acme.test', 'bounced: 5.1.1')$$, 'B18 the address is listed as suppressed');
SELECT pg_temp.tenant('other') AS other_id, pg_temp.invite('D@Acme.test') AS other_d \gset
SELECT is(pg_temp.deliver(), 1, 'B18 in every tenant it gets no mail (the one sent is the owner''s)');
SELECT is(pg_temp.delivery('D@Acme.test'), 'suppressed', 'B18 delivery: suppressed');
SELECT is((SELECT suppressed_addresses FROM usermgmt.outbox_statistics), 1, 'R29 suppressed addresses are counted');
SELECT is(pg_temp.try($$SELECT usermgmt.unsuppress_address('nobody@acme.test')$$), 'UM002', 'B18 what is not suppressed can not be lifted');
SELECT usermgmt.unsuppress_address(' D@ACME.test') AS x \gset
SELECT is_empty('SELECT * FROM usermgmt.suppressed_addresses', 'B18 an operator lifts it');
SELECT is(pg_temp.events('address_suppression.deleted', 'd@acme.test'), 1::bigint, 'B18 which is in the trail');
SELECT usermgmt.use_tenant('acme') AS x \gset
UPDATE usermgmt.invitation SET queued_at = queued_at - interval '1 hour' WHERE invitation_id = :'d';
SELECT invitation_id AS x FROM usermgmt.resend_invitation(:'d') \gset
SELECT is(pg_temp.deliver(), 1, 'B18 and the address gets mail again');

-- Scheduled (S3.33).
SELECT invitation_id AS later, expires_at - interval '7 days' = '2027-03-01 08:00+00' AS expiry FROM usermgmt.invite_user('later@acme.test', send_at => '2027-03-01 08:00+00') \gset
SELECT is(:'expiry', true, 'S3.33 the time of a mail that is sent later begins when it is sent');
SELECT is(pg_temp.delivery('later@acme.test'), 'scheduled', 'S3.33 delivery: scheduled');
SELECT is(pg_temp.deliver(), 0, 'S3.33 it is not sent before');
SELECT is((SELECT next_due_at FROM usermgmt.outbox_statistics), '2027-03-01 08:00+00', 'R29 the next due date is shown');
UPDATE usermgmt.outbox SET due_at = clock_timestamp() WHERE recipient = 'later@acme.test';
SELECT is(pg_temp.deliver(), 1, 'S3.33 but then');
SELECT is((SELECT next_due_at FROM usermgmt.outbox_statistics), NULL, 'R29 and nothing waits for its time');

-- Backlog, age, pause.
SELECT in_flight AS before FROM usermgmt.outbox_statistics \gset
SELECT pg_temp.invite('old@acme.test') AS x \gset
UPDATE usermgmt.outbox SET due_at = statement_timestamp() - interval '2 hours' WHERE recipient = 'old@acme.test';
SELECT results_eq('SELECT queued, due, oldest_age >= interval ''2 hours'', held, paused FROM usermgmt.outbox_statistics', 'VALUES (1, 1, true, 0, NULL::text)', 'R29 backlog and the age of the oldest mail are shown');
SELECT usermgmt.outbox_pause('moving') AS x \gset
SELECT is((SELECT paused FROM usermgmt.outbox_statistics), 'moving', 'R29 so is a pause');
SELECT usermgmt.outbox_resume() AS x \gset
SELECT message_id AS m FROM usermgmt.outbox_claim('test', 1) \gset
SELECT results_eq(format('SELECT queued, in_flight - %s, oldest_age FROM usermgmt.outbox_statistics', :before), 'VALUES (0, 1, NULL::interval)', 'R29 and what a relay has');

-- Cancelled with its reason (S0.6): one mail queued for each, then the cause.
CREATE TEMPORARY TABLE cause (why text, kind text, address text, statement text);
SELECT pg_temp.join('gone@acme.test') AS gone, pg_temp.join('off@acme.test') AS off, pg_temp.join('twice@acme.test') AS twice, pg_temp.join('up@acme.test') AS up, pg_temp.join('inviter@acme.test', 'admin') AS inviter \gset
SELECT count(*) AS x FROM usermgmt.outbox_claim('test', 1000) \gset
SELECT pg_temp.invite('revoke@acme.test') AS revoke, pg_temp.invite('decline@acme.test') AS decline, pg_temp.invite('accept@acme.test') AS accept, pg_temp.act('inviter@acme.test', $$SELECT invitation_id FROM usermgmt.invite_user('byleaver@acme.test')$$) AS y,
	usermgmt.send_password_reset(:'gone'), usermgmt.send_password_reset(:'off'), usermgmt.send_password_reset(:'twice'), usermgmt.change_role(:'up', 'admin') \gset
UPDATE usermgmt.password_reset SET created_at = created_at - interval '1 hour' WHERE user_id = :'twice';
INSERT INTO cause VALUES ('revoked', 'invitation', 'revoke@acme.test', format('SELECT usermgmt.revoke_invitation(%L)', :'revoke')),
	('declined', 'invitation', 'decline@acme.test', format('SELECT usermgmt.decline_invitation(%L)', pg_temp.token_of(:'decline'))),
	('accepted', 'invitation', 'accept@acme.test', format('SELECT usermgmt.accept_invitation(%L, ''a good long password'')', pg_temp.token_of(:'accept'))),
	('inviter removed', 'invitation', 'byleaver@acme.test', format('SELECT usermgmt.remove_user(%L, confirm => true)', :'inviter')),
	('removed', 'password_reset', 'gone@acme.test', format('SELECT usermgmt.remove_user(%L, confirm => true)', :'gone')),
	('deactivated', 'password_reset', 'off@acme.test', format('SELECT usermgmt.deactivate_user(%L)', :'off')),
	('superseded', 'password_reset', 'twice@acme.test', format('SELECT usermgmt.send_password_reset(%L)', :'twice')),
	('role changed again', 'role_changed', 'up@acme.test', format('SELECT usermgmt.change_role(%L, ''member'')', :'up'));
SELECT is_empty('SELECT why FROM cause AS c WHERE pg_temp.states(address) !~ ''queued$''', 'a mail waits for each cause');
CREATE TEMPORARY TABLE before AS SELECT c.why, o.message_id FROM cause AS c JOIN usermgmt.outbox AS o ON o.recipient = c.address AND o.kind = c.kind AND o.state = 'queued';
DO $$ DECLARE c record; BEGIN FOR c IN SELECT statement FROM cause LOOP EXECUTE c.statement; END LOOP; END $$;
SELECT set_eq($$SELECT why, state FROM before JOIN usermgmt.outbox USING (message_id)$$, $$SELECT why, 'cancelled' FROM cause$$, 'S0.6 an unsent mail is cancelled with its reason, in the same transaction');
SELECT is_empty('SELECT why FROM before JOIN usermgmt.outbox USING (message_id) WHERE reply IS NULL', 'S0.6 and says why');
SELECT count(*) AS x FROM usermgmt.outbox_claim('test', 1000) \gset
SELECT is(pg_temp.delivery('revoke@acme.test'), 'none', 'S3.36 delivery: nothing for a mail that was cancelled');

-- Suspension.
SELECT pg_temp.invite('suspend@acme.test') AS x, usermgmt.send_password_reset(:'up') \gset
SELECT status AS x FROM usermgmt.suspend_tenant('unpaid') \gset
SELECT results_eq($$SELECT kind, state, reply FROM usermgmt.outbox WHERE recipient IN ('suspend@acme.test', 'up@acme.test') AND kind IN ('invitation', 'password_reset') AND created_at > clock_timestamp() - interval '1 minute'
	AND state IN ('queued', 'cancelled') AND (kind <> 'invitation' OR recipient LIKE 'suspend%') ORDER BY kind$$,
	$$VALUES ('invitation', 'cancelled', 'the tenant was suspended'), ('password_reset', 'queued', NULL)$$, 'S0.6 a suspended tenant''s unsent mail is cancelled, but for mails about the account');
INSERT INTO usermgmt.outbox (message_id, tenant_id, kind, subject_id, recipient, due_at, created_at)
	SELECT gen_random_uuid(), tenant_id, 'reactivated', user_id, 'late@acme.test', now(), now() FROM usermgmt.membership WHERE user_id = :'up';
SELECT results_eq('SELECT kind FROM usermgmt.outbox_claim(''test'', 10)', $$VALUES ('password_reset')$$, 'and what was queued by another way is not sent');
SELECT status AS x FROM usermgmt.resume_tenant() \gset

-- Reminders (S2.21).
SELECT pg_temp.deliver() AS x \gset
SELECT count(pg_temp.invite(a || '@remind.test')) AS x FROM unnest(ARRAY['yes', 'young', 'expired', 'revoked', 'waiting', 'bounced', 'recent']) AS a \gset
SELECT pg_temp.sign_in('admin@acme.test') AS x \gset
SELECT pg_temp.act('admin@acme.test', $$SELECT invitation_id FROM usermgmt.invite_user('orphan@remind.test')$$) AS x \gset
SELECT pg_temp.deliver() AS x \gset
SELECT usermgmt.change_role(:'admin', 'member') IS NULL AS x \gset
UPDATE usermgmt.invitation SET queued_at = queued_at - interval '4 days', created_at = created_at - interval '4 days' WHERE email LIKE '%@remind.test' AND email NOT LIKE 'young%';
UPDATE usermgmt.outbox SET finished_at = finished_at - interval '4 days' WHERE recipient LIKE '%@remind.test' AND recipient NOT LIKE 'recent%';
UPDATE usermgmt.invitation SET expires_at = clock_timestamp() - interval '1 second' WHERE email = 'expired@remind.test';
SELECT status AS x FROM usermgmt.revoke_invitation((SELECT invitation_id FROM usermgmt.invitations WHERE email = 'revoked@remind.test')) \gset
INSERT INTO usermgmt.address_suppression VALUES ('bounced@remind.test', 'bounced', now());
INSERT INTO usermgmt.outbox (message_id, tenant_id, kind, subject_id, recipient, due_at, created_at)
	SELECT gen_random_uuid(), tenant_id, 'invitation', invitation_id, email, now() + interval '1 hour', now() FROM usermgmt.invitation WHERE email = 'waiting@remind.test';
SELECT is(usermgmt.run_maintenance() ->> 'reminders_queued', '0', 'S2.21 reminders are off by default');
SELECT usermgmt.set_tenant_setting('reminder_after', '3 days') AS x \gset
SELECT usermgmt.set_tenant_setting('invitations_enabled', 'off') AS x \gset
SELECT is(usermgmt.run_maintenance() ->> 'reminders_queued', '0', 'S2.21 none where invitations are switched off');
SELECT usermgmt.reset_tenant_setting('invitations_enabled') AS x \gset
SELECT status AS x FROM usermgmt.suspend_tenant('unpaid') \gset
SELECT is(usermgmt.run_maintenance() ->> 'reminders_queued', '0', 'S2.21 none in a suspended tenant');
SELECT status AS x FROM usermgmt.resume_tenant() \gset
INSERT INTO usermgmt.outbox (message_id, tenant_id, kind, subject_id, recipient, due_at, created_at)
	SELECT gen_random_uuid(), tenant_id, 'invitation', invitation_id, email, now() + interval '1 hour', now() FROM usermgmt.invitation WHERE email = 'waiting@remind.test';
SELECT is(usermgmt.run_maintenance() ->> 'reminders_queued', '1', 'S2.21 an open invitation past that age is reminded of, and the count is told');
SELECT results_eq($$SELECT recipient, state FROM usermgmt.outbox WHERE kind = 'invitation_reminder'$$, $$VALUES ('yes@remind.test', 'queued')$$,
	'S2.21 not a young, expired, revoked or bounced one, not where a mail waits or was just sent, nor one whose inviter lost the right');
SELECT is(usermgmt.run_maintenance() ->> 'reminders_queued', '0', 'S2.21 once');
SELECT * FROM usermgmt.outbox_claim('test', 1000) \gset
SELECT ok(:'kind' = 'invitation_reminder' AND :'subject' = 'Reminder: your invitation to Acme is still open' AND :'text_body' LIKE '%/accept-invitation?token=%', 'S2.21 the reminder has the link');
SELECT is((SELECT status FROM usermgmt.preview_invitation(substring(:'text_body' FROM 'token=(\S+)'))), 'pending', 'S2.21 which works');
SELECT usermgmt.outbox_sending(:'message_id', :fence), usermgmt.outbox_sent(:'message_id', :fence, '250 ok') \gset
SELECT is(pg_temp.events('invitation.reminded', (SELECT invitation_id::text FROM usermgmt.invitations WHERE email = 'yes@remind.test')), 1::bigint, 'S2.21 the trail has it');
UPDATE usermgmt.invitation SET expires_at = clock_timestamp() - interval '1 second' WHERE email = 'yes@remind.test';
SELECT invitation_id AS x FROM usermgmt.resend_invitation((SELECT invitation_id FROM usermgmt.invitations WHERE email = 'yes@remind.test')) \gset
SELECT pg_temp.deliver() AS x \gset
SELECT is(usermgmt.run_maintenance() ->> 'reminders_queued', '0', 'S2.21 a reopened invitation is young again');
UPDATE usermgmt.invitation SET queued_at = queued_at - interval '4 days', expires_at = 'infinity' WHERE email = 'yes@remind.test';
UPDATE usermgmt.outbox SET finished_at = finished_at - interval '4 days' WHERE recipient = 'yes@remind.test';
SELECT is(usermgmt.run_maintenance() ->> 'reminders_queued', '1', 'S2.21 and is reminded of once more, also where its link never ends');
SELECT status AS x FROM usermgmt.revoke_invitation((SELECT invitation_id FROM usermgmt.invitations WHERE email = 'yes@remind.test')) \gset
SELECT ok(pg_temp.states('yes@remind.test') LIKE '%cancelled', 'S2.21 a reminder is cancelled with its invitation');
SELECT usermgmt.reset_tenant_setting('reminder_after') AS x \gset

-- The recipient's own language.
SELECT email AS x FROM usermgmt.invite_user('lena@acme.test', locale => 'de_AT') \gset
SELECT ok((SELECT subject FROM usermgmt.outbox_claim('test', 10) WHERE recipient = 'lena@acme.test') LIKE '%lädt Sie%', 'an invitation can be in a language of its own');
SELECT is(pg_temp.try($$SELECT usermgmt.invite_user('x@acme.test', locale => '../..')$$), '22023', 'which must be one');
SELECT pg_temp.state_of(format('SELECT usermgmt.accept_invitation(%L, ''lenas long password'')', pg_temp.token_of((SELECT invitation_id FROM usermgmt.invitations WHERE email = 'lena@acme.test')))) AS x \gset
SELECT user_id AS lena, locale AS its FROM usermgmt.account WHERE email = 'lena@acme.test' \gset
SELECT is(:'its'::text, 'de-AT', 'a new account keeps it');
SELECT usermgmt.change_role(:'lena', 'admin') IS NULL AS x, usermgmt.deactivate_user(:'lena') IS NULL AS y, usermgmt.reactivate_user(:'lena') IS NULL AS z \gset
SELECT results_eq($$SELECT subject FROM usermgmt.outbox_claim('test', 10) WHERE recipient = 'lena@acme.test'$$, $$VALUES ('Ihre Rolle bei Acme: Administrator'), ('Ihr Zugang zu Acme ist wieder da')$$, 'and its mails are in it; a notice that is not true any more is not sent');
INSERT INTO person SELECT 'lena@acme.test', 'acme', :'lena', session_token FROM usermgmt.log_in('lena@acme.test', 'lenas long password');
SELECT pg_temp.act('lena@acme.test', $$SELECT name FROM usermgmt.update_profile('Lena', 'en-GB')$$) AS x \gset
SELECT usermgmt.send_password_reset(:'lena') AS x \gset
SELECT is((SELECT subject FROM usermgmt.outbox_claim('test', 10) WHERE recipient = 'lena@acme.test'), 'Choose a new password for Acme', 'a person chooses another');

-- No address is flooded (the count is per kind, over all tenants).
SET LOCAL usermgmt.mails_per_address = 3;
CREATE FUNCTION pg_temp.flood(address text, times integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN 1 .. times LOOP
		PERFORM usermgmt.create_tenant('flood' || n, 'Flood', 'owner@flood.test');
		PERFORM usermgmt.use_tenant('flood' || n);
		PERFORM pg_temp.invite(address);
	END LOOP;
END $$;
SELECT pg_temp.flood('Victim@flood.test', 5) AS x \gset
SELECT is((SELECT count(*)::int FROM usermgmt.outbox_claim('test', 1000) WHERE recipient = 'Victim@flood.test'), 3, 'an address gets three mails of a kind at once, in all tenants together');
SELECT results_eq($$SELECT state, delivery, held, due_at > statement_timestamp() + interval '59 minutes' FROM usermgmt.mail_queue WHERE recipient = 'Victim@flood.test' AND state = 'queued'$$, $$VALUES ('queued', 'queued', true, true), ('queued', 'queued', true, true)$$,
	'the others wait until there is room');
SELECT is(pg_temp.delivery('Victim@flood.test'), 'queued', 'and nobody is told that somebody else mailed the address');
SELECT is((SELECT held FROM usermgmt.outbox_statistics) >= 2, true, 'R29 held mails are counted');
SELECT usermgmt.use_tenant('acme') AS x \gset
SELECT pg_temp.invite('victim@FLOOD.test') AS x \gset
SELECT is_empty($$SELECT recipient FROM usermgmt.outbox_claim('test', 1000)$$, 'another spelling does not help');
UPDATE usermgmt.outbox SET due_at = clock_timestamp() WHERE state = 'queued' AND held;
UPDATE usermgmt.outbox SET claimed_at = claimed_at - interval '1 hour' WHERE state = 'claimed';
SELECT is((SELECT count(*)::int FROM usermgmt.outbox_claim('test', 1000) WHERE lower(recipient) = 'victim@flood.test'), 3, 'an hour later they go');
SELECT pg_temp.invite('later@flood.test') AS x, pg_temp.invite('alone@flood.test') AS y \gset
SELECT usermgmt.use_tenant('flood1') IS NULL AS x, pg_temp.invite('later@flood.test') AS y \gset
SELECT is((SELECT count(*)::int FROM usermgmt.outbox_claim('test', 1000) WHERE recipient = 'later@flood.test'), 2, 'two mails go');
SELECT usermgmt.use_tenant('flood2') IS NULL AS x, pg_temp.invite('later@flood.test') AS y \gset
SELECT usermgmt.use_tenant('flood3') IS NULL AS x, pg_temp.invite('later@flood.test') AS y, pg_temp.invite('alone@flood.test') AS z \gset
SELECT is((SELECT string_agg(recipient, ' ' ORDER BY recipient) FROM usermgmt.outbox_claim('test', 1000)), 'alone@flood.test later@flood.test', 'of two more one, and what went before counts with what goes now');
SELECT usermgmt.use_tenant('acme') AS x \gset
SET LOCAL usermgmt.mails_per_address = 0;
SELECT is((SELECT count(*)::int FROM usermgmt.outbox WHERE state = 'queued' AND held AND due_at <= clock_timestamp()), 0, 'and none is forgotten');

-- Whether there is room is read off the index, however many an address has got.
SET LOCAL session_replication_role = replica;
INSERT INTO usermgmt.outbox (message_id, tenant_id, kind, subject_id, recipient, state, due_at, created_at, claimed_at, finished_at)
SELECT gen_random_uuid(), tenant_id, 'invitation', gen_random_uuid(), CASE WHEN n <= 2000 THEN 'crowd@flood.test' ELSE n || '@flood.test' END,
	'sent', now(), now(), now() - interval '1 second' * (n % 3000), now()
FROM usermgmt.tenant, generate_series(1, 10000) AS n WHERE slug = 'acme';
SET LOCAL session_replication_role = origin;
ANALYZE usermgmt.outbox;
SET LOCAL usermgmt.mails_per_address = 5;
SELECT pg_temp.invite('crowd@flood.test') AS x \gset
SELECT idx_tup_fetch + seq_tup_read AS read FROM pg_stat_xact_all_tables WHERE relid = 'usermgmt.outbox'::regclass \gset
SELECT is_empty($$SELECT recipient FROM usermgmt.outbox_claim('test', 1000) WHERE recipient = 'crowd@flood.test'$$, 'an address that got two thousand has to wait');
SELECT cmp_ok(idx_tup_fetch + seq_tup_read - :read, '<', 500::bigint, 'of which only as many are read as may come within an hour')
FROM pg_stat_xact_all_tables WHERE relid = 'usermgmt.outbox'::regclass;
SET LOCAL usermgmt.mails_per_address = 0;

SELECT * FROM finish();
ROLLBACK;
