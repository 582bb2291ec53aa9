-- queued -> claimed -> sending -> sent | queued (later) | dead | cancelled.
CREATE TABLE usermgmt.outbox (
	message_id uuid NOT NULL,
	tenant_id uuid NOT NULL,
	kind text NOT NULL,
	subject_id uuid NOT NULL,
	recipient text NOT NULL,
	recipient_name text,
	state text NOT NULL DEFAULT 'queued'
		CHECK (state IN ('queued', 'claimed', 'sending', 'sent', 'dead', 'cancelled')),
	due_at timestamptz NOT NULL,
	expires_at timestamptz,
	attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
	fence bigint NOT NULL DEFAULT 0,
	holder bigint,
	worker text,
	created_at timestamptz NOT NULL,
	claimed_at timestamptz,
	finished_at timestamptz,
	reply text,
	bounced_at timestamptz,
	bounce_detail text,
	held boolean NOT NULL DEFAULT false,
	PRIMARY KEY (message_id, tenant_id),
	CONSTRAINT a_finished_message_says_when CHECK ((state IN ('sent', 'dead', 'cancelled')) = (finished_at IS NOT NULL)),
	CONSTRAINT a_claimed_message_has_a_holder CHECK (state NOT IN ('claimed', 'sending') OR holder IS NOT NULL)
);
COMMENT ON TABLE usermgmt.outbox IS 'Mails to send and sent: what about to whom; texts and links are made when a relay claims them and stored nowhere; a row of no tenant (all zero) is a request that an anonymous caller made: whom it concerns is looked up when it is claimed.';
COMMENT ON COLUMN usermgmt.outbox.message_id IS 'Id of the mail.';
COMMENT ON COLUMN usermgmt.outbox.tenant_id IS 'The tenant it is sent for; all zero while nobody has looked up whom it is for, or when nobody was found.';
COMMENT ON COLUMN usermgmt.outbox.kind IS 'The kind of mail, such as invitation or password_reset.';
COMMENT ON COLUMN usermgmt.outbox.subject_id IS 'The invitation, reset or person it is about.';
COMMENT ON COLUMN usermgmt.outbox.recipient IS 'The address it goes to.';
COMMENT ON COLUMN usermgmt.outbox.recipient_name IS 'The name beside the address.';
COMMENT ON COLUMN usermgmt.outbox.state IS 'queued, claimed, sending, sent, dead or cancelled.';
COMMENT ON COLUMN usermgmt.outbox.due_at IS 'When it is to be sent, or tried again, at the earliest.';
COMMENT ON COLUMN usermgmt.outbox.expires_at IS 'After this it is not sent any more.';
COMMENT ON COLUMN usermgmt.outbox.attempts IS 'How often sending was tried.';
COMMENT ON COLUMN usermgmt.outbox.fence IS 'Number of the latest claim, which every later word about it has to name.';
COMMENT ON COLUMN usermgmt.outbox.holder IS 'Which connection claimed it.';
COMMENT ON COLUMN usermgmt.outbox.worker IS 'The relay that claimed it last.';
COMMENT ON COLUMN usermgmt.outbox.created_at IS 'When it was queued.';
COMMENT ON COLUMN usermgmt.outbox.claimed_at IS 'When a relay claimed it last.';
COMMENT ON COLUMN usermgmt.outbox.finished_at IS 'When it was sent, given up or cancelled.';
COMMENT ON COLUMN usermgmt.outbox.reply IS 'The mail server''s last words, or why it ended.';
COMMENT ON COLUMN usermgmt.outbox.bounced_at IS 'When it came back.';
COMMENT ON COLUMN usermgmt.outbox.bounce_detail IS 'What the bounce said.';
COMMENT ON COLUMN usermgmt.outbox.held IS 'Whether it was held back because its address got too many.';
CREATE INDEX outbox_due ON usermgmt.outbox (due_at, message_id) WHERE state = 'queued';
CREATE INDEX outbox_request ON usermgmt.outbox (due_at, message_id)
	WHERE state IN ('queued', 'cancelled') AND tenant_id = '00000000-0000-0000-0000-000000000000';
CREATE INDEX outbox_held ON usermgmt.outbox (holder) WHERE state IN ('claimed', 'sending');
CREATE INDEX outbox_address ON usermgmt.outbox (lower(recipient COLLATE "C"), kind, claimed_at, message_id)
	WHERE state IN ('claimed', 'sending', 'sent');
CREATE INDEX outbox_subject ON usermgmt.outbox (subject_id, tenant_id, message_id);

CREATE TABLE usermgmt.outbox_attempt (
	message_id uuid NOT NULL,
	tenant_id uuid NOT NULL,
	fence bigint NOT NULL,
	ended_at timestamptz NOT NULL,
	outcome text NOT NULL CHECK (outcome IN ('sent', 'deferred', 'dead')),
	reply text,
	PRIMARY KEY (message_id, tenant_id, fence),
	FOREIGN KEY (message_id, tenant_id) REFERENCES usermgmt.outbox ON DELETE CASCADE
);
CREATE INDEX outbox_attempt_ended ON usermgmt.outbox_attempt ((outcome = 'sent'), ended_at);
COMMENT ON TABLE usermgmt.outbox_attempt IS 'Each attempt to send a message, with the server''s reply.';
COMMENT ON COLUMN usermgmt.outbox_attempt.message_id IS 'The mail.';
COMMENT ON COLUMN usermgmt.outbox_attempt.tenant_id IS 'Its tenant.';
COMMENT ON COLUMN usermgmt.outbox_attempt.fence IS 'The claim that it was sent under.';
COMMENT ON COLUMN usermgmt.outbox_attempt.ended_at IS 'When the attempt ended.';
COMMENT ON COLUMN usermgmt.outbox_attempt.outcome IS 'sent, deferred or dead.';
COMMENT ON COLUMN usermgmt.outbox_attempt.reply IS 'The mail server''s words.';

CREATE TABLE usermgmt.address_suppression (
	address text NOT NULL PRIMARY KEY,
	reason text NOT NULL,
	suppressed_at timestamptz NOT NULL
);
COMMENT ON TABLE usermgmt.address_suppression IS 'Addresses (canonical) that bounced for good and get no more mail.';
COMMENT ON COLUMN usermgmt.address_suppression.address IS 'The address, in lower case.';
COMMENT ON COLUMN usermgmt.address_suppression.reason IS 'What the bounce said.';
COMMENT ON COLUMN usermgmt.address_suppression.suppressed_at IS 'Since when.';

CREATE FUNCTION usermgmt.outbox_guard() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.outbox_guard() IS 'Trigger: a message changes state only as the table of transitions allows.';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OF state ON usermgmt.outbox
	FOR EACH ROW EXECUTE FUNCTION usermgmt.outbox_guard();

CREATE TYPE usermgmt.outbox_message AS (
	message_id uuid,
	fence bigint,
	kind text,
	tenant_id uuid,
	sender text,
	recipient text,
	subject text,
	text_body text,
	html_body text,
	headers jsonb,
	message_id_header text,
	attempt integer,
	expires_at timestamptz
);
COMMENT ON TYPE usermgmt.outbox_message IS 'A claimed mail, rendered, with its link; it exists nowhere else.';
COMMENT ON COLUMN usermgmt.outbox_message.message_id IS 'Id of the mail.';
COMMENT ON COLUMN usermgmt.outbox_message.fence IS 'Number of this claim, to be named in every later word about it.';
COMMENT ON COLUMN usermgmt.outbox_message.kind IS 'The kind of mail, such as invitation or password_reset.';
COMMENT ON COLUMN usermgmt.outbox_message.tenant_id IS 'The tenant it is sent for.';
COMMENT ON COLUMN usermgmt.outbox_message.sender IS 'The address it comes from.';
COMMENT ON COLUMN usermgmt.outbox_message.recipient IS 'The address it goes to.';
COMMENT ON COLUMN usermgmt.outbox_message.subject IS 'The subject line.';
COMMENT ON COLUMN usermgmt.outbox_message.text_body IS 'The plain text, with the link.';
COMMENT ON COLUMN usermgmt.outbox_message.html_body IS 'The HTML, with the link.';
COMMENT ON COLUMN usermgmt.outbox_message.headers IS 'The names beside the addresses: from_name, and perhaps to_name.';
COMMENT ON COLUMN usermgmt.outbox_message.message_id_header IS 'The Message-ID, the same at every attempt.';
COMMENT ON COLUMN usermgmt.outbox_message.attempt IS 'Which attempt this is, from 1.';
COMMENT ON COLUMN usermgmt.outbox_message.expires_at IS 'After this it is not sent any more.';

CREATE FUNCTION usermgmt.outbox_claim(worker text, max_messages integer DEFAULT NULL)
	RETURNS SETOF usermgmt.outbox_message
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.outbox_claim(text, integer) IS 'Takes at most max_messages (100) due mails for this connection, oldest first, rendered with their links.';

CREATE FUNCTION usermgmt.outbox_sending(message_id uuid, fence bigint) RETURNS boolean
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.outbox_sending(uuid, bigint) IS 'The last look before the final dot, and may be repeated before it: false means cancelled, expired, paused or taken over, do not send.';

CREATE FUNCTION usermgmt.outbox_sent(message_id uuid, fence bigint, reply text) RETURNS boolean
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.outbox_sent(uuid, bigint, text) IS 'The server accepted the mail; false when the claim is no longer the caller''s.';

CREATE FUNCTION usermgmt.outbox_failed(message_id uuid, fence bigint, permanent boolean, reply text) RETURNS boolean
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.outbox_failed(uuid, bigint, boolean, text) IS 'The mail failed: permanent true ends it, false tries again later, NULL hands it back untried; false when the claim is no longer the caller''s.';

CREATE FUNCTION usermgmt.outbox_bounced(message_id_header text, recipient text, status text, detail text) RETURNS boolean
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.outbox_bounced(text, text, text, text) IS 'A sent mail came back (RFC 3464 status): 5.x.x stops further mail to the address, 4.x.x is a delay and only recorded; false when no such mail was sent.';

CREATE FUNCTION usermgmt.outbox_next_due() RETURNS timestamptz
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.outbox_next_due() IS 'When the next mail is due, or NULL; from now until its next claim this connection counts as asleep and is notified on channel usermgmt_outbox.';

CREATE FUNCTION usermgmt.run_maintenance() RETURNS jsonb
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.run_maintenance() IS 'Does what time makes necessary (expired mails, ended sessions, old throttles, sealing of the trail) and counts it; idempotent.';

CREATE FUNCTION usermgmt.outbox_pause(reason text) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.outbox_pause(text) IS 'No mail is claimed any more until outbox_resume(); 22023 for an empty reason.';

CREATE FUNCTION usermgmt.outbox_resume() RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.outbox_resume() IS 'Mail is claimed again after outbox_pause(), or in a restored copy that is the real one.';

CREATE FUNCTION usermgmt.outbox_retry(message_id uuid) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.outbox_retry(uuid) IS 'Queues a dead mail again, due now; UM002, UM036 when it is not dead.';

CREATE FUNCTION usermgmt.outbox_cancel(message_id uuid) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.outbox_cancel(uuid) IS 'Cancels a mail that is not on the wire yet; UM002, UM036 when it is.';

CREATE FUNCTION usermgmt.unsuppress_address(address text) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.unsuppress_address(text) IS 'Lets an address that bounced get mail again; what was stopped meanwhile stays stopped; 22023, UM002.';

-- Internal: what has become of a mail, in the words of the invitation views.
CREATE FUNCTION usermgmt.delivery_of(message usermgmt.outbox) RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN CASE
		WHEN (message).bounced_at IS NOT NULL THEN 'bounced'
		WHEN (message).state = 'sent' THEN 'sent'
		WHEN (message).state = 'dead' THEN 'failed'
		WHEN (message).state = 'cancelled' AND (message).reply LIKE 'suppressed%' THEN 'suppressed'
		WHEN (message).state = 'cancelled' THEN NULL
		WHEN (message).attempts > 0 THEN 'deferred'
		WHEN (message).state = 'queued' AND NOT (message).held AND (message).due_at > greatest((message).created_at, statement_timestamp()) THEN 'scheduled'
		WHEN (message).state IS NOT NULL THEN 'queued'
	END;
COMMENT ON FUNCTION usermgmt.delivery_of(usermgmt.outbox) IS 'queued, scheduled, sent, deferred, failed, bounced or suppressed; NULL when it was cancelled.';

CREATE VIEW usermgmt.mail_queue AS
	SELECT o.message_id, nullif(o.tenant_id, '00000000-0000-0000-0000-000000000000') AS tenant_id,
		o.kind, o.recipient, o.state,
		usermgmt.delivery_of(o) AS delivery, o.due_at, o.expires_at, o.attempts,
		o.reply, o.worker, o.created_at, o.claimed_at, o.finished_at,
		o.subject_id, o.recipient_name, o.bounced_at, o.bounce_detail, o.held
	FROM usermgmt.outbox AS o;
COMMENT ON VIEW usermgmt.mail_queue IS 'Every mail and what has become of it; texts and links exist nowhere.';
COMMENT ON COLUMN usermgmt.mail_queue.message_id IS 'Id of the mail; also the left part of its Message-ID.';
COMMENT ON COLUMN usermgmt.mail_queue.tenant_id IS 'The tenant it is sent for; NULL while nobody has looked up whom it is for, or when nobody was found.';
COMMENT ON COLUMN usermgmt.mail_queue.kind IS 'The kind of mail, such as invitation or password_reset.';
COMMENT ON COLUMN usermgmt.mail_queue.recipient IS 'The address it goes to.';
COMMENT ON COLUMN usermgmt.mail_queue.state IS 'queued, claimed, sending, sent, dead or cancelled.';
COMMENT ON COLUMN usermgmt.mail_queue.delivery IS 'queued, scheduled, sent, deferred, failed, bounced or suppressed; NULL when it was cancelled.';
COMMENT ON COLUMN usermgmt.mail_queue.due_at IS 'When it is to be sent, or tried again, at the earliest.';
COMMENT ON COLUMN usermgmt.mail_queue.expires_at IS 'After this it is not sent any more.';
COMMENT ON COLUMN usermgmt.mail_queue.attempts IS 'How often sending was tried.';
COMMENT ON COLUMN usermgmt.mail_queue.reply IS 'The mail server''s last words, or why it ended.';
COMMENT ON COLUMN usermgmt.mail_queue.worker IS 'The relay that claimed it last.';
COMMENT ON COLUMN usermgmt.mail_queue.created_at IS 'When it was queued.';
COMMENT ON COLUMN usermgmt.mail_queue.claimed_at IS 'When a relay claimed it last.';
COMMENT ON COLUMN usermgmt.mail_queue.finished_at IS 'When it was sent, given up or cancelled.';
COMMENT ON COLUMN usermgmt.mail_queue.subject_id IS 'The invitation, reset or person it is about.';
COMMENT ON COLUMN usermgmt.mail_queue.recipient_name IS 'The name beside the address.';
COMMENT ON COLUMN usermgmt.mail_queue.bounced_at IS 'When it came back.';
COMMENT ON COLUMN usermgmt.mail_queue.bounce_detail IS 'What the bounce said.';
COMMENT ON COLUMN usermgmt.mail_queue.held IS 'Whether it was held back because its address got too many.';

CREATE VIEW usermgmt.outbox_statistics AS
	SELECT
		(SELECT count(*) FROM usermgmt.outbox WHERE state = 'queued')::integer AS queued,
		(SELECT count(*) FROM usermgmt.outbox WHERE state = 'queued' AND due_at <= statement_timestamp())::integer AS due,
		(SELECT count(*) FROM usermgmt.outbox WHERE state IN ('claimed', 'sending'))::integer AS in_flight,
		(SELECT count(*) FROM usermgmt.outbox WHERE state = 'dead')::integer AS dead,
		(SELECT min(due_at) FROM usermgmt.outbox WHERE state = 'queued') AS oldest_due_at,
		(
			SELECT coalesce(i.mail_pause_reason,
				CASE WHEN i.extension_oid <> (SELECT e.oid FROM pg_extension AS e WHERE e.extname = 'usermgmt')
					OR i.database_oid <> (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
					THEN 'restored copy' END)
			FROM usermgmt.installation AS i
		) AS paused,
		(SELECT statement_timestamp() - min(due_at) FROM usermgmt.outbox WHERE state = 'queued' AND due_at <= statement_timestamp()) AS oldest_age,
		(SELECT min(due_at) FROM usermgmt.outbox WHERE state = 'queued' AND due_at > statement_timestamp()) AS next_due_at,
		(SELECT count(*) FROM usermgmt.outbox WHERE state = 'queued' AND held)::integer AS held,
		(SELECT count(*) FROM usermgmt.address_suppression)::integer AS suppressed_addresses,
		(SELECT a.reply FROM usermgmt.outbox_attempt AS a WHERE NOT (a.outcome = 'sent') ORDER BY a.ended_at DESC LIMIT 1) AS last_error,
		(SELECT max(a.ended_at) FROM usermgmt.outbox_attempt AS a WHERE NOT (a.outcome = 'sent')) AS last_error_at,
		(SELECT max(a.ended_at) FROM usermgmt.outbox_attempt AS a WHERE a.outcome = 'sent') AS last_sent_at;
COMMENT ON VIEW usermgmt.outbox_statistics IS 'How the mail goes: what waits and since when, what failed, and the last error.';
COMMENT ON COLUMN usermgmt.outbox_statistics.queued IS 'Mails waiting.';
COMMENT ON COLUMN usermgmt.outbox_statistics.due IS 'Of those, mails that could be sent now.';
COMMENT ON COLUMN usermgmt.outbox_statistics.in_flight IS 'Mails that a relay holds.';
COMMENT ON COLUMN usermgmt.outbox_statistics.dead IS 'Mails given up; outbox_retry() queues one again.';
COMMENT ON COLUMN usermgmt.outbox_statistics.oldest_due_at IS 'When the oldest waiting mail was or is due.';
COMMENT ON COLUMN usermgmt.outbox_statistics.paused IS 'Why mail is paused, or NULL.';
COMMENT ON COLUMN usermgmt.outbox_statistics.oldest_age IS 'How long the oldest mail that could be sent has waited; NULL when none does.';
COMMENT ON COLUMN usermgmt.outbox_statistics.next_due_at IS 'When the next mail that waits for its time is due.';
COMMENT ON COLUMN usermgmt.outbox_statistics.held IS 'Mails held back because their address got too many.';
COMMENT ON COLUMN usermgmt.outbox_statistics.suppressed_addresses IS 'Addresses that get no mail.';
COMMENT ON COLUMN usermgmt.outbox_statistics.last_error IS 'What went wrong with the latest attempt that failed.';
COMMENT ON COLUMN usermgmt.outbox_statistics.last_error_at IS 'When that was.';
COMMENT ON COLUMN usermgmt.outbox_statistics.last_sent_at IS 'When a mail server last took a mail.';

CREATE VIEW usermgmt.suppressed_addresses AS
	SELECT address, reason, suppressed_at
	FROM usermgmt.address_suppression
	ORDER BY suppressed_at, address;
COMMENT ON VIEW usermgmt.suppressed_addresses IS 'Addresses that bounced for good and get no mail until unsuppress_address().';
COMMENT ON COLUMN usermgmt.suppressed_addresses.address IS 'The address, in lower case.';
COMMENT ON COLUMN usermgmt.suppressed_addresses.reason IS 'What the bounce said.';
COMMENT ON COLUMN usermgmt.suppressed_addresses.suppressed_at IS 'Since when.';

CREATE FUNCTION usermgmt.outbox_figures() RETURNS SETOF usermgmt.outbox_statistics
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'SELECT * FROM usermgmt.outbox_statistics';
COMMENT ON FUNCTION usermgmt.outbox_figures() IS 'The row of outbox_statistics, for the relay''s metrics.';
CREATE INDEX outbox_dead ON usermgmt.outbox (message_id) WHERE state = 'dead';

INSERT INTO usermgmt.access_privilege (access, object_kind, object_name) VALUES
	('relay', 'function', 'outbox_claim'),
	('relay', 'function', 'outbox_sending'),
	('relay', 'function', 'outbox_sent'),
	('relay', 'function', 'outbox_failed'),
	('relay', 'function', 'outbox_bounced'),
	('relay', 'function', 'outbox_next_due'),
	('relay', 'function', 'run_maintenance'),
	('relay', 'function', 'outbox_figures'),
	('operator', 'function', 'run_maintenance'),
	('operator', 'function', 'outbox_pause'),
	('operator', 'function', 'outbox_resume'),
	('operator', 'function', 'outbox_retry'),
	('operator', 'function', 'outbox_cancel'),
	('operator', 'function', 'unsuppress_address'),
	('operator', 'relation', 'suppressed_addresses'),
	('application', 'function', 'delivery_of'),
	('operator', 'relation', 'mail_queue'),
	('operator', 'relation', 'outbox_statistics'),
	('operator', 'relation', 'outbox'),
	('operator', 'relation', 'outbox_attempt'),
	('operator', 'relation', 'address_suppression');

SELECT usermgmt.audit_attach('usermgmt.address_suppression', '{address_suppression,address,subject:address}');

