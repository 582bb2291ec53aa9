-- Mails of which nobody knows whether they were sent: again, or held.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('admin@acme.test', 'admin') AS admin \gset
SELECT count(*) AS x FROM usermgmt.outbox_claim('test', 1000) \gset

-- A mail to this address, on the wire.
CREATE FUNCTION pg_temp.on_the_wire(address text) RETURNS usermgmt.outbox_message LANGUAGE plpgsql AS $$
DECLARE
	message usermgmt.outbox_message;
BEGIN
	PERFORM pg_temp.act('admin@acme.test', format('SELECT usermgmt.invite_user(%L)', address));
	SELECT * INTO message FROM usermgmt.outbox_claim('test', 1);
	PERFORM usermgmt.outbox_sending(message.message_id, message.fence);
	RETURN message;
END
$$;
-- What has become of it.
CREATE FUNCTION pg_temp.fate(message uuid) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', state, delivery, attempts, substring(reply FROM '^in doubt'), substring(reply FROM 'held.*$'))
	FROM usermgmt.mail_queue WHERE message_id = message
$$;
-- Its relay dies, and another looks.
CREATE FUNCTION pg_temp.lose(message uuid) RETURNS bigint LANGUAGE sql AS $$
	UPDATE usermgmt.outbox SET holder = 4711 WHERE message_id = message;
	SELECT count(*) FROM usermgmt.outbox_claim('other', 1)
$$;

-- The setting.
SELECT lives_ok('SET LOCAL usermgmt.hold_in_doubt = ' || list, 'F7 a list of kinds: ' || list)
	FROM (VALUES ($$''$$), ($$'invitation'$$), ($$'invitation, password_reset'$$), ('invitation, welcome')) AS v (list);
SELECT throws_ok('SET LOCAL usermgmt.hold_in_doubt = ' || list, '22023', NULL, 'F7 what is no kind is refused: ' || list)
	FROM (VALUES ($$'invitations'$$), ($$'invitation, nothing'$$), ($$'invitation,,welcome'$$), ($$'Invitation'$$)) AS v (list);

-- By default a mail in doubt goes out once more.
SET LOCAL usermgmt.hold_in_doubt = '';
SELECT message_id AS m, fence AS f FROM pg_temp.on_the_wire('again@acme.test') \gset
SELECT is(usermgmt.outbox_failed(:'m', :f, false, 'in doubt: no reply to the final dot (x)'), true, 'F7 a mail in doubt is reported');
SELECT is(pg_temp.fate(:'m'), 'queued deferred 1 in doubt', 'F7 and tried again');
SELECT message_id AS m FROM pg_temp.on_the_wire('lost@acme.test') \gset
SELECT pg_temp.lose(:'m') AS x \gset
SELECT is(pg_temp.fate(:'m'), 'claimed queued 0', 'F7 so is one whose relay died');
SELECT usermgmt.outbox_failed(:'m', fence, true, 'enough') AS x FROM usermgmt.outbox WHERE message_id = :'m' \gset

-- Held, by kind.
SET LOCAL usermgmt.hold_in_doubt = 'password_reset, invitation';
SELECT message_id AS m, fence AS f FROM pg_temp.on_the_wire('held@acme.test') \gset
SELECT is(usermgmt.outbox_failed(:'m', :f, false, 'in doubt: no reply to the final dot (x)'), true, 'F7 a mail in doubt of a kind that is held is reported');
SELECT is(pg_temp.fate(:'m'), 'dead failed 1 in doubt held, see usermgmt.hold_in_doubt', 'F7 and dead, with the reason');
SELECT results_eq(format('SELECT outcome, reply FROM usermgmt.outbox_attempt WHERE message_id = %L', :'m'),
	$$VALUES ('dead', 'in doubt: no reply to the final dot (x); held, see usermgmt.hold_in_doubt')$$, 'F7 in its history too');
SELECT is((SELECT last_error FROM usermgmt.outbox_statistics), 'in doubt: no reply to the final dot (x); held, see usermgmt.hold_in_doubt', 'F7 and as the last error');
SELECT is_empty($$SELECT * FROM usermgmt.outbox_claim('other', 10)$$, 'F7 nobody claims it');
SELECT usermgmt.outbox_retry(:'m') AS x \gset
SELECT results_eq($$SELECT message_id, attempt FROM usermgmt.outbox_claim('other', 10)$$, format('VALUES (%L::uuid, 2)', :'m'), 'F7 an operator sends it again, under the same id');
SELECT usermgmt.outbox_failed(:'m', fence, true, 'enough') AS x FROM usermgmt.outbox WHERE message_id = :'m' \gset

SELECT message_id AS m, fence AS f FROM pg_temp.on_the_wire('held-lost@acme.test') \gset
SELECT pg_temp.lose(:'m') AS x \gset
SELECT is(pg_temp.fate(:'m'), 'dead failed 1 in doubt held, see usermgmt.hold_in_doubt', 'F7 one whose relay died on the wire is held');
SELECT results_eq(format('SELECT outcome FROM usermgmt.outbox_attempt WHERE message_id = %L', :'m'), $$VALUES ('dead')$$, 'F7 with an attempt in its history');
SELECT is(usermgmt.outbox_sent(:'m', :f, '250 ok'), false, 'R4 the relay that was taken for dead reports it no more');

-- What is certain is not held.
SELECT message_id AS m, fence AS f FROM pg_temp.on_the_wire('later@acme.test') \gset
SELECT usermgmt.outbox_failed(:'m', :f, false, '451 4.7.1 greylisted') AS x \gset
SELECT is(pg_temp.fate(:'m'), 'queued deferred 1', 'F2 a temporary answer after the dot is none to hold');
SELECT pg_temp.act('admin@acme.test', $$SELECT usermgmt.invite_user('claimed@acme.test')$$) AS x \gset
SELECT message_id AS m, fence AS f FROM usermgmt.outbox_claim('test', 1) \gset
SELECT usermgmt.outbox_failed(:'m', :f, false, 'in doubt: says somebody') AS x \gset
SELECT is(pg_temp.fate(:'m'), 'queued deferred 1 in doubt', 'F7 a mail that was not on the wire is in no doubt');
UPDATE usermgmt.outbox SET due_at = clock_timestamp() WHERE message_id = :'m';
SELECT message_id AS m FROM usermgmt.outbox_claim('test', 1) \gset
SELECT pg_temp.lose(:'m') AS x \gset
SELECT is(pg_temp.fate(:'m'), 'claimed deferred 1 in doubt', 'F7 nor one whose relay died before');

-- Other kinds are not held.
SET LOCAL usermgmt.hold_in_doubt = 'password_reset';
SELECT message_id AS m, fence AS f FROM pg_temp.on_the_wire('other@acme.test') \gset
SELECT usermgmt.outbox_failed(:'m', :f, false, 'in doubt: no reply to the final dot (x)') AS x \gset
SELECT is(pg_temp.fate(:'m'), 'queued deferred 1 in doubt', 'F7 kinds that are not named are tried again');

SELECT * FROM finish();
ROLLBACK;
