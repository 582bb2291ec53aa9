-- The queue of mails: claimed, sent once, cancelled, suppressed, and its states.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('admin@acme.test', 'admin') AS admin \gset
UPDATE usermgmt.account SET name = 'Ada <Admin>' WHERE user_id = :'admin';
SELECT pg_temp.mail_token('x', 'x') AS x \gset
CREATE FUNCTION pg_temp.message_of(address text) RETURNS uuid LANGUAGE sql AS $$
	SELECT message_id FROM usermgmt.outbox WHERE recipient = address ORDER BY message_id DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.fence_of(message uuid) RETURNS bigint LANGUAGE sql AS $$
	SELECT fence FROM usermgmt.outbox WHERE message_id = message
$$;
CREATE FUNCTION pg_temp.state_of_mail(message uuid) RETURNS text LANGUAGE sql AS $$
	SELECT state FROM usermgmt.outbox WHERE message_id = message
$$;

-- What a relay gets.
SELECT pg_temp.act('admin@acme.test', $$SELECT usermgmt.invite_user('Carol@Acme.test', 'admin', message => E'Hi <b>Carol</b>\nsee you', name => 'Carol & Co')$$) AS x \gset
SELECT invitation_id AS carol FROM usermgmt.invitation WHERE email = 'Carol@Acme.test' \gset
SELECT results_eq($$SELECT kind, recipient, state, delivery FROM usermgmt.mail_queue WHERE state = 'queued'$$,
	$$VALUES ('invitation', 'Carol@Acme.test', 'queued', 'queued')$$, 'S2.2 inviting queues one mail');
SAVEPOINT s;
SELECT pg_temp.invite('nobody@acme.test') AS x \gset
ROLLBACK TO SAVEPOINT s;
SELECT is_empty($$SELECT * FROM usermgmt.outbox WHERE recipient = 'nobody@acme.test'$$, 'B4 what is rolled back never mails');
SELECT * FROM usermgmt.outbox_claim('test', 1) \gset
SELECT results_eq(format('SELECT %L::text, %L::text, %L::uuid, %L::text, %L::int, %L::text', :'kind', :'recipient', :'tenant_id', :'sender', :'attempt', :'message_id_header'),
	format($$VALUES ('invitation', 'Carol@Acme.test', %L::uuid, 'no-reply@localhost', 1, '<%s@localhost>')$$, :'acme_id', :'message_id'),
	'S2.2 a claim gives kind, recipient, tenant, sender, attempt and Message-ID');
SELECT is(substring(:'text_body' FROM '(\S+)\?token='), 'http://localhost:3000/accept-invitation', 'S2.2 the mail holds an activation link to base_url');
SELECT ok(position(part IN :'text_body') > 0, 'S3.13 the mail tells the ' || what)
	FROM (VALUES ('organization', 'Acme'), ('role', 'admin'), ('inviter', 'Ada <Admin>'), ('message', E'Hi <b>Carol</b>\nsee you'),
		('expiry', to_char((SELECT expires_at FROM usermgmt.invitation WHERE invitation_id = :'carol') AT TIME ZONE 'UTC', 'FMDD FMMonth YYYY, HH24:MI "UTC"')), ('welcome', 'elcome')) AS w (what, part);
SELECT ok(position('&lt;b&gt;Carol&lt;/b&gt;' IN :'html_body') > 0 AND position('<b>Carol' IN :'html_body') = 0
	AND position('Ada &lt;Admin&gt;' IN :'html_body') > 0 AND position('Carol &amp; Co' IN :'html_body') > 0, 'S1.3 what people typed is escaped in HTML');
SELECT is(:'subject' ~ '[\r\n]', false, 'S1.3 a subject is one line');
SELECT is(:'expires_at'::timestamptz, (SELECT i.expires_at FROM usermgmt.invitation AS i WHERE invitation_id = :'carol'), 'S2.2 a mail expires with its link');
SELECT is_empty($$SELECT * FROM usermgmt.outbox_claim('other', 10)$$, 'R4 a claimed mail is not claimed again');
SELECT is(usermgmt.outbox_sent(:'message_id', :fence, '250 ok'), false, 'R3 a mail is not sent before the last look');
SELECT is(usermgmt.outbox_sending(:'message_id', :fence + 1), false, 'R4 another fence is refused at the last look');
SELECT is(usermgmt.outbox_sending(:'message_id', :fence), true, 'R3 the last look lets a wanted mail go');
SELECT is(usermgmt.outbox_sending(:'message_id', :fence), true, 'R3 and may be taken again before the dot');
SELECT is(usermgmt.outbox_sent(:'message_id', :fence - 1, '250 ok'), false, 'R4 another fence can not report a mail as sent');
SELECT is(usermgmt.outbox_sent(:'message_id', :fence, E'250 ok\r\nX'), true, 'R2 a mail is reported as sent');
SELECT is(usermgmt.outbox_sent(:'message_id', :fence, '250 ok'), false, 'R2 a mail is reported as sent once');
SELECT is(usermgmt.outbox_sending(:'message_id', :fence), false, 'R3 no last look lets a mail go that was sent');
SELECT is(usermgmt.outbox_failed(:'message_id', :fence, true, '550'), false, 'R2 a sent mail does not fail afterwards');
SELECT results_eq(format('SELECT delivery, send_count, last_sent_at IS NOT NULL, first_sent_at = last_sent_at FROM usermgmt.invitations WHERE invitation_id = %L', :'carol'),
	$$VALUES ('sent', 1, true, true)$$, 'S0.1 S3.36 the invitation shows that its mail was sent, and when');

-- Bounces (S2.17).
SELECT is(usermgmt.outbox_bounced('<00000000-0000-7000-8000-000000000000@localhost>', 'x@acme.test', '5.1.1', 'unknown'), false, 'S2.17 a bounce of a mail that we never sent is not ours');
SELECT is(usermgmt.outbox_bounced(:'message_id_header', 'carol@acme.test', '4.2.0', 'still trying'), true, 'S2.17 a delay is recorded');
SELECT results_eq(format('SELECT delivery, bounce_detail FROM usermgmt.mail_queue WHERE message_id = %L', :'message_id'), $$VALUES ('sent', 'carol@acme.test: 4.2.0 still trying')$$,
	'S2.17 and is no bounce');
SELECT is_empty('SELECT * FROM usermgmt.address_suppression', 'B18 nor stops further mail');
SELECT is(usermgmt.outbox_bounced(:'message_id_header', 'carol@acme.test', status, 'what?'), true, 'S2.17 a report without a failure is recorded: ' || to_json(status)) FROM unnest(ARRAY['2.0.0', '', NULL]) AS status;
SELECT is_empty('SELECT * FROM usermgmt.address_suppression', 'B18 and stops no further mail either');
SELECT is(usermgmt.outbox_bounced(:'message_id_header', 'carol@acme.test', '5.1.1', 'no such user'), true, 'S2.17 a bounce is recorded');
SELECT results_eq(format('SELECT delivery, delivery_detail LIKE %L FROM usermgmt.invitations WHERE invitation_id = %L', '%no such user%', :'carol'),
	$$VALUES ('bounced', true)$$, 'S2.17 a bounce shows at the invitation');
SELECT results_eq(format('SELECT delivery, bounced_at IS NOT NULL FROM usermgmt.mail_queue WHERE message_id = %L', :'message_id'), $$VALUES ('bounced', true)$$,
	'S2.17 a bounce shows at the message, and can be listed');
UPDATE usermgmt.invitation SET queued_at = queued_at - interval '1 hour' WHERE invitation_id = :'carol';
SELECT invitation_id AS x FROM usermgmt.resend_invitation(:'carol') \gset
SELECT is_empty($$SELECT * FROM usermgmt.outbox_claim('test', 10)$$, 'B18 an address that bounced for good gets no further mail');
SELECT is((SELECT delivery FROM usermgmt.invitations WHERE invitation_id = :'carol'), 'suppressed', 'B18 and the invitation says so');

-- Failures.
SELECT pg_temp.invite('dave@acme.test') AS dave \gset
SELECT * FROM usermgmt.outbox_claim('test', 1) \gset
SELECT is(usermgmt.outbox_failed(:'message_id', :fence, false, '451 later'), true, 'R5 a mail that failed for now is tried again');
SELECT results_eq(format('SELECT state, attempts, delivery, due_at >= created_at FROM usermgmt.mail_queue WHERE message_id = %L', :'message_id'),
	$$VALUES ('queued', 1, 'deferred', true)$$, 'R5 later, and it shows as deferred');
UPDATE usermgmt.outbox SET due_at = now() - interval '1 second' WHERE message_id = :'message_id';
SELECT :'message_id_header' AS first_header, :fence AS first_fence \gset
SELECT * FROM usermgmt.outbox_claim('test', 1) \gset
SELECT is(:'message_id_header'::text, :'first_header', 'R3 another attempt carries the same Message-ID');
SELECT is(:attempt, 2, 'R5 and says which attempt it is');
SELECT cmp_ok(:fence::bigint, '>', :first_fence::bigint, 'R4 and has a higher fence');
SELECT is(usermgmt.outbox_failed(:'message_id', :first_fence, true, '550'), false, 'R4 the lower one is refused');
SELECT is(usermgmt.outbox_failed(:'message_id', :fence, true, '550 no such user'), true, 'R5 a mail that failed for good ends');
SELECT results_eq(format('SELECT state, delivery, reply FROM usermgmt.mail_queue WHERE message_id = %L', :'message_id'), $$VALUES ('dead', 'failed', '550 no such user')$$, 'R5 dead, with the server''s words');
SELECT is((SELECT dead FROM usermgmt.outbox_statistics), 1, 'R2 and is counted');
SELECT usermgmt.outbox_retry(:'message_id') AS x \gset
SELECT is(pg_temp.state_of_mail(:'message_id'), 'queued', 'R2 an operator can have a dead mail tried again');
SELECT throws_ok(format('SELECT usermgmt.outbox_retry(%L)', :'message_id'), 'UM036', NULL, 'R2 a mail that waits can not be retried');
SELECT usermgmt.outbox_cancel(:'message_id') AS x \gset
SELECT is(pg_temp.state_of_mail(:'message_id'), 'cancelled', 'R2 an operator can cancel a mail');
SELECT throws_ok(format('SELECT usermgmt.outbox_cancel(%L)', :'message_id'), 'UM036', NULL, 'R2 a cancelled mail can not be cancelled');
SELECT throws_ok(format('SELECT usermgmt.%I(%L)', f, gen_random_uuid()), 'UM002', NULL, 'R2 ' || f || ' of an unknown mail is answered by not found')
	FROM unnest(ARRAY['outbox_retry', 'outbox_cancel']) AS f;

-- How long it is tried: 24 times, at most an hour apart, and not past its link.
SELECT pg_temp.invite('lena@acme.test') AS lena \gset
CREATE FUNCTION pg_temp.fail(failures int, left_of_link interval) RETURNS SETOF usermgmt.outbox LANGUAGE plpgsql AS $$
DECLARE
	m usermgmt.outbox_message;
BEGIN
	UPDATE usermgmt.outbox SET attempts = failures, due_at = now() - interval '1 second', expires_at = now() + interval '30 days' WHERE recipient = 'lena@acme.test';
	SELECT * INTO STRICT m FROM usermgmt.outbox_claim('test', 1);
	UPDATE usermgmt.outbox SET expires_at = clock_timestamp() + left_of_link WHERE message_id = m.message_id;
	PERFORM usermgmt.outbox_failed(m.message_id, m.fence, false, '451 later');
	RETURN QUERY SELECT * FROM usermgmt.outbox WHERE message_id = m.message_id;
END $$;
SELECT results_eq($$SELECT max(f.due_at) <= clock_timestamp() + interval '1 hour', max(f.due_at) > clock_timestamp() + interval '10 minutes', array_agg(DISTINCT f.state)
	FROM generate_series(1, 30) AS i, pg_temp.fail(20 + i % 2, interval '30 days') AS f$$, $$VALUES (true, true, '{queued}'::text[])$$, 'R5 the gaps between tries grow to an hour and no further');
SELECT is((SELECT state FROM pg_temp.fail(22, interval '30 days')), 'queued', 'R5 after 23 failures it is tried once more');
SELECT is((SELECT state FROM pg_temp.fail(23, interval '30 days')), 'dead', 'R5 after 24 no more');
SELECT usermgmt.outbox_retry(message_id) AS x FROM usermgmt.outbox WHERE recipient = 'lena@acme.test' \gset
SELECT is((SELECT state FROM pg_temp.fail(0, interval '0')), 'dead', 'R5 nor when its link has ended by the next try');

-- Cancelled with its reason, and never after its time.
SELECT pg_temp.invite('erin@acme.test') AS erin \gset
SELECT * FROM usermgmt.outbox_claim('test', 1) \gset
SELECT invitation_id AS x FROM usermgmt.revoke_invitation(:'erin') \gset
SELECT is(usermgmt.outbox_sending(:'message_id', :fence), false, 'S0.6 the last look stops a mail whose invitation was revoked');
SELECT pg_temp.invite('fay@acme.test') AS fay \gset
SELECT * FROM usermgmt.outbox_claim('test', 1) \gset
SELECT is(usermgmt.outbox_sending(:'message_id', :fence), true, 'S0.6 the last look before a revocation lets a mail go');
SELECT invitation_id AS x FROM usermgmt.revoke_invitation(:'fay') \gset
SELECT is((SELECT state FROM usermgmt.mail_queue WHERE message_id = :'message_id'), 'sending', 'S0.6 the revocation says that the mail may go out');
SELECT is(usermgmt.outbox_sending(:'message_id', :fence), false, 'S0.6 the last look after it stops the mail');
SELECT is(usermgmt.outbox_sent(:'message_id', :fence, '250 ok'), false, 'R3 which is then in no doubt');
SELECT is_empty($$SELECT * FROM usermgmt.outbox_claim('test', 10)$$, 'S0.6 nor is it claimed again');
SELECT results_eq(format('SELECT state, attempts FROM usermgmt.mail_queue WHERE message_id = %L', :'message_id'), $$VALUES ('cancelled', 0)$$, 'S0.6 but cancelled');
SELECT pg_temp.invite('frank@acme.test') AS frank \gset
UPDATE usermgmt.outbox SET expires_at = clock_timestamp() - interval '1 second' WHERE recipient = 'frank@acme.test';
SELECT is_empty($$SELECT * FROM usermgmt.outbox_claim('test', 10)$$, 'R5 nothing is claimed after its token expired');
SELECT pg_temp.invite('gina@acme.test') AS gina \gset
SELECT * FROM usermgmt.outbox_claim('test', 1) \gset
UPDATE usermgmt.outbox SET expires_at = clock_timestamp() - interval '1 second' WHERE message_id = :'message_id';
SELECT is(usermgmt.outbox_sending(:'message_id', :fence), false, 'R5 the last look stops a mail that expired meanwhile');
SELECT is((SELECT state FROM usermgmt.mail_queue WHERE message_id = :'message_id'), 'cancelled', 'R5 and cancels it');
SELECT pg_temp.invite('gus@acme.test') AS gus \gset
SELECT * FROM usermgmt.outbox_claim('test', 1) \gset
SELECT usermgmt.outbox_sending(:'message_id', :fence) AS x \gset
UPDATE usermgmt.outbox SET expires_at = clock_timestamp() - interval '1 second' WHERE message_id = :'message_id';
SELECT is(usermgmt.outbox_sending(:'message_id', :fence), false, 'R5 so does the last look taken again');
SELECT pg_temp.invite('hugo@acme.test') AS hugo \gset
UPDATE usermgmt.invitation SET expires_at = clock_timestamp() - interval '1 second' WHERE invitation_id = :'hugo';
SELECT is_empty($$SELECT * FROM usermgmt.outbox_claim('test', 10)$$, 'R5 nor one whose invitation expired by bare SQL');
SELECT invitation_id AS ivan FROM usermgmt.invite_user('ivan@acme.test', send_at => now() + interval '1 day') \gset
SELECT is_empty($$SELECT * FROM usermgmt.outbox_claim('test', 10)$$, 'S3.33 a mail prepared for a later date is not claimed before');
SELECT is((SELECT delivery FROM usermgmt.invitations WHERE invitation_id = :'ivan'), 'scheduled', 'S3.33 and shows as scheduled');
SELECT is(usermgmt.outbox_next_due(), (SELECT due_at FROM usermgmt.outbox WHERE subject_id = :'ivan'), 'R5 the relay is told when the next mail is due');

-- Pause.
SELECT pg_temp.invite('jane@acme.test') AS jane \gset
SELECT usermgmt.outbox_pause('testing') AS x \gset
SELECT is_empty($$SELECT * FROM usermgmt.outbox_claim('test', 10)$$, 'B12 nothing is claimed while mail is paused');
SELECT is((SELECT paused FROM usermgmt.outbox_statistics), 'testing', 'B12 the reason is shown');
SELECT is(usermgmt.outbox_next_due(), NULL, 'B12 nothing is due');
SELECT usermgmt.outbox_resume() AS x \gset
SELECT recipient AS jane_recipient, message_id AS jane_message, fence AS jane_fence FROM usermgmt.outbox_claim('test', 10) \gset
SELECT is(:'jane_recipient'::text, 'jane@acme.test', 'B12 mail goes on when an operator says so');
SELECT usermgmt.outbox_pause('again') AS x \gset
SELECT is(usermgmt.outbox_sending(:'jane_message', :jane_fence), false, 'B12 a pause holds a mail that a relay has claimed');
SELECT is((SELECT state FROM usermgmt.outbox WHERE message_id = :'jane_message'), 'queued', 'B12 and gives it back');
SELECT usermgmt.outbox_resume() AS x \gset
SELECT results_eq($$SELECT recipient, attempt FROM usermgmt.outbox_claim('test', 10)$$, $$VALUES ('jane@acme.test', 1)$$, 'B12 and it pays no attempt for that');

-- Sender and texts (S1.15, S4.16).
UPDATE usermgmt.tenant SET settings = '{"from_email": "hello@acme.example", "from_name": "Acme", "base_url": "https://app.acme.example/"}' WHERE tenant_id = :'acme_id';
SELECT pg_temp.invite('kate@acme.test') AS kate \gset
SELECT * FROM usermgmt.outbox_claim('test', 1) \gset
SELECT is(:'sender' || ' ' || (:'headers'::jsonb ->> 'from_name'), 'hello@acme.example Acme', 'S1.15 the sender is configurable');
SELECT is(substring(:'text_body' FROM '(\S+)\?token='), 'https://app.acme.example/accept-invitation', 'S2.2 so is what links begin with');
SELECT is(:'message_id_header'::text, format('<%s@acme.example>', :'message_id'), 'S1.15 the Message-ID is of the sender''s domain');
INSERT INTO usermgmt.email_template (tenant_id, kind, locale, subject, text_body, html_body)
	VALUES (:'acme_id', 'invitation', 'en', E'Join {{tenant_name}}', 'own {{link}}', '<p>{{recipient}}</p>');
SELECT pg_temp.invite('luke@acme.test') AS luke \gset
SELECT * FROM usermgmt.outbox_claim('test', 1) \gset
SELECT is(:'subject' || left(:'text_body', 4), 'Join Acmeown ', 'S1.3 a tenant''s own template goes before the shipped one');
UPDATE usermgmt.email_template SET text_body = '{{no_such_variable}}' WHERE tenant_id = :'acme_id';
SELECT pg_temp.invite('mary@acme.test') AS mary \gset
SELECT is_empty($$SELECT * FROM usermgmt.outbox_claim('test', 10)$$, 'R5 a template that can not be rendered sends nothing');
SELECT is(pg_temp.state_of_mail(pg_temp.message_of('mary@acme.test')), 'dead', 'R5 its mail is dead');
DELETE FROM usermgmt.email_template WHERE NOT built_in;

-- A subject can not be broken into headers.
UPDATE usermgmt.tenant SET name = E'Acme\r\nBcc: x@evil.test' WHERE tenant_id = :'acme_id';
SELECT pg_temp.invite('nina@acme.test') AS nina \gset
SELECT * FROM usermgmt.outbox_claim('test', 1) \gset
SELECT is(:'subject' ~ '[\r\n]', false, 'S1.3 a tenant''s name breaks no header');

-- Words of a server are harmless, and odd arguments are answered by false.
SELECT is(usermgmt.outbox_failed(:'message_id', :fence, NULL, E'\x01' || repeat('x', 1000000)), true, 'R2 a relay that stops hands a mail back');
SELECT is((SELECT state || attempts || (length(reply) < 1000)::text || (reply ~ '[\x01-\x1f]')::text FROM usermgmt.outbox WHERE message_id = :'message_id'), 'queued0truefalse',
	'R2 untried, and a server''s words are kept short and plain');
SELECT pg_temp.contents() AS before \gset
SELECT is_empty(format($$SELECT s FROM unnest(ARRAY[$q$outbox_sending(NULL, 1)$q$, $q$outbox_sending(%1$L, NULL)$q$, $q$outbox_sending(%1$L, -1)$q$, $q$outbox_sent(NULL, NULL, NULL)$q$,
		$q$outbox_sent(%1$L, 9223372036854775807, NULL)$q$, $q$outbox_failed(NULL, NULL, NULL, NULL)$q$, $q$outbox_failed(%1$L, 0, true, NULL)$q$, $q$outbox_bounced(NULL, NULL, NULL, NULL)$q$,
		$q$outbox_bounced('', '', '', '')$q$, $q$outbox_bounced(%2$L, NULL, NULL, NULL)$q$, $q$outbox_bounced('<%1$s@x>', 'x', '5.0.0', 'x')$q$,
		$q$outbox_bounced(repeat('<', 1000000), repeat('x', 1000000), repeat('5', 1000000), repeat('x', 1000000))$q$]) AS s
		WHERE pg_temp.run_as(session_user, 'SELECT usermgmt.' || s) IS DISTINCT FROM 'false'$$, :'message_id', E'<\x01>'),
	'R2 odd words about a mail are answered by false');
SELECT is(pg_temp.contents(), :'before'::jsonb, 'R2 and change nothing');
SELECT is_empty($$SELECT * FROM usermgmt.outbox_claim('test', 0) UNION ALL SELECT * FROM usermgmt.outbox_claim('test', -1)$$, 'R2 a claim of none claims none');

-- States, by bare SQL.
CREATE TEMPORARY TABLE sample AS SELECT s AS state, 'state-' || s || '@acme.test' AS address, NULL::uuid AS message_id
	FROM unnest(ARRAY['queued', 'claimed', 'sending', 'sent', 'dead', 'cancelled']) AS s;
DO $$
DECLARE
	m record;
BEGIN
	PERFORM usermgmt.outbox_claim('test', 1000);
	PERFORM pg_temp.invite(address) FROM sample WHERE state <> 'queued';
	FOR m IN SELECT c.message_id, c.fence, s.state FROM usermgmt.outbox_claim('test', 1000) AS c JOIN sample AS s ON s.address = c.recipient LOOP
		IF m.state IN ('sending', 'sent', 'dead') THEN PERFORM usermgmt.outbox_sending(m.message_id, m.fence); END IF;
		IF m.state = 'sent' THEN PERFORM usermgmt.outbox_sent(m.message_id, m.fence, '250'); END IF;
		IF m.state = 'dead' THEN PERFORM usermgmt.outbox_failed(m.message_id, m.fence, true, '550'); END IF;
		IF m.state = 'cancelled' THEN PERFORM usermgmt.outbox_cancel(m.message_id); END IF;
	END LOOP;
	PERFORM pg_temp.invite(address) FROM sample WHERE state = 'queued';
	UPDATE sample AS s SET message_id = pg_temp.message_of(address);
END $$;
SELECT is_empty($$SELECT state, pg_temp.state_of_mail(message_id) FROM sample WHERE state IS DISTINCT FROM pg_temp.state_of_mail(message_id)$$, 'R2 there is a mail in each state');
SELECT is_empty(
	$$SELECT s.state, n.state FROM sample AS s, unnest(ARRAY['queued', 'claimed', 'sending', 'sent', 'dead', 'cancelled']) AS n (state)
		WHERE s.state <> n.state AND (s.state IN ('sent', 'cancelled') OR (s.state, n.state) IN (('queued', 'sending'), ('queued', 'sent'), ('queued', 'dead'),
			('claimed', 'sent'), ('sending', 'claimed'), ('dead', 'claimed'), ('dead', 'sending'), ('dead', 'sent'), ('dead', 'cancelled')))
		AND pg_temp.try(format('UPDATE usermgmt.outbox SET state = %L, holder = 1, finished_at = CASE WHEN %L IN (''sent'', ''dead'', ''cancelled'') THEN now() END WHERE message_id = %L',
			n.state, n.state, s.message_id)) <> 'UM036'$$,
	'R2 no bare UPDATE takes a mail outside the permitted transitions');
SELECT is_empty(
	$$SELECT s FROM unnest(ARRAY['claimed', 'sending', 'sent', 'dead', 'cancelled']) AS s WHERE pg_temp.try(format('INSERT INTO usermgmt.outbox
		(message_id, tenant_id, kind, subject_id, recipient, state, due_at, created_at, holder, finished_at) VALUES (gen_random_uuid(), gen_random_uuid(), ''invitation'',
		gen_random_uuid(), ''x@x.test'', %L, now(), now(), 1, CASE WHEN %L IN (''sent'', ''dead'', ''cancelled'') THEN now() END)', s, s)) <> 'UM036'$$,
	'R2 a mail begins as queued');
SELECT is(jsonb_typeof(usermgmt.run_maintenance()), 'object', 'R2 maintenance counts what it did');
SELECT pg_temp.contents() AS before \gset
SELECT usermgmt.run_maintenance() AS x \gset
SELECT is(pg_temp.contents(), :'before'::jsonb, 'R2 and is idempotent');
SELECT results_eq('SELECT * FROM usermgmt.outbox_figures()', 'SELECT * FROM usermgmt.outbox_statistics', 'R29 the relay reads the same figures');
SELECT is_empty('SELECT message_id FROM usermgmt.outbox AS o JOIN usermgmt.mail_queue AS q USING (message_id) WHERE usermgmt.delivery_of(o) IS DISTINCT FROM q.delivery', 'S3.36 a mail has one word for its delivery everywhere');

SELECT * FROM finish();
ROLLBACK;
