-- Mail as a relay and an operator handle it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usermgmt;
RESET client_min_messages;
\pset null null
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT status FROM usermgmt.create_tenant('acme', 'Acme', 'olivia@acme.example', 'Olivia');
SELECT usermgmt.use_tenant('acme') IS NOT NULL AS selected;

-- What waits, without texts and links.
SELECT kind, recipient, recipient_name, state, delivery, attempts, reply FROM usermgmt.mail_queue;
SELECT queued, due, in_flight, dead, paused FROM usermgmt.outbox_statistics;

-- Paused, a relay gets nothing.
SELECT usermgmt.outbox_pause('moving the mail server');
SELECT count(*) FROM usermgmt.outbox_claim('relay-1');
SELECT paused, due FROM usermgmt.outbox_statistics;
SELECT usermgmt.outbox_pause(' ');
SELECT usermgmt.outbox_resume();

-- A claim renders the mail and makes its link.
SELECT message_id, fence, kind, sender, recipient, subject, headers, attempt,
	regexp_replace(text_body, 'token=\S+|until [0-9]+ [A-Z][a-z]+ 2[0-9]+, [0-9:]+ UTC', '...', 'g') AS text,
	message_id_header = format('<%s@localhost>', message_id) AS header_names_message
FROM usermgmt.outbox_claim('relay-1') \gset
\echo :kind to :recipient from :sender: :subject
\echo :headers :attempt :header_names_message
\echo :text
SELECT count(*) FROM usermgmt.outbox_claim('relay-1');

-- A temporary failure waits, a permanent one ends it, an operator may retry.
SELECT usermgmt.outbox_sending(:'message_id', :fence);
SELECT usermgmt.outbox_failed(:'message_id', :fence, false, '451 4.7.1 greylisted');
SELECT state, delivery, attempts, reply FROM usermgmt.mail_queue;
SELECT usermgmt.outbox_retry(:'message_id');
\echo :SQLSTATE
UPDATE usermgmt.outbox SET due_at = clock_timestamp();
SELECT fence, attempt FROM usermgmt.outbox_claim('relay-1') \gset
\echo attempt :attempt
SELECT usermgmt.outbox_failed(:'message_id', :fence, true, E'550 5.1.1 no such\r\n user');
SELECT state, delivery, attempts, reply FROM usermgmt.mail_queue;
SELECT usermgmt.outbox_cancel(:'message_id');
\echo :SQLSTATE
SELECT usermgmt.outbox_retry(:'message_id');

-- Sent is not the end: it may bounce, and then the address gets no more mail.
SELECT fence FROM usermgmt.outbox_claim('relay-1') \gset
SELECT usermgmt.outbox_sent(:'message_id', :fence, '250 2.0.0 queued as 4711') AS without_last_look;
SELECT usermgmt.outbox_sending(:'message_id', :fence) AS last_look,
	usermgmt.outbox_sent(:'message_id', :fence - 1, '250') AS of_an_earlier_claim,
	usermgmt.outbox_sent(:'message_id', :fence, '250 2.0.0 queued as 4711') AS sent;
SELECT outcome, reply FROM usermgmt.outbox_attempt ORDER BY fence;
SELECT usermgmt.outbox_bounced(format('<%s@localhost>', :'message_id'), 'olivia@acme.example', '5.1.1', 'mailbox unknown') AS known,
	usermgmt.outbox_bounced('<42@localhost>', 'olivia@acme.example', '5.1.1', NULL) AS unknown;
SELECT state, delivery, reply, bounce_detail FROM usermgmt.mail_queue;
SELECT address, reason FROM usermgmt.address_suppression;

-- The tenant's own template goes before the shipped one.
INSERT INTO usermgmt.email_template (tenant_id, kind, locale, subject, text_body, html_body)
SELECT tenant_id, 'invitation', 'en', 'Come to {{tenant_name}}', '{{link}}', '<p>{{tenant_name}}</p>' FROM usermgmt.tenants;
UPDATE usermgmt.tenant SET name = 'Acme & Sons <GmbH>';
SELECT status FROM usermgmt.invite_user('eva@example.org');
SELECT subject, html_body FROM usermgmt.outbox_claim('relay-1');

-- A template that names an unknown variable stops its own mails and no others.
UPDATE usermgmt.email_template SET subject = 'Hi {{first_name}}' WHERE NOT built_in;
SELECT status FROM usermgmt.invite_user('ida@example.org');
SELECT count(*) FROM usermgmt.outbox_claim('relay-1');
SELECT recipient, state, delivery, reply FROM usermgmt.mail_queue WHERE kind = 'invitation' ORDER BY message_id;

-- What an operator and a bounce changed is in the trail; single mails are not.
SELECT action, reason, subject_email FROM usermgmt.audit_event
WHERE object_type IN ('installation', 'address_suppression', 'email_template') ORDER BY event_id;

SELECT usermgmt.run_maintenance();
ROLLBACK;
