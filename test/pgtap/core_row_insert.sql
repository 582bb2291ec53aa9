-- A row that is inserted without setting up a statement is one of an INSERT:
-- whatever is put on the table holds, also after many rows went in before it.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('acme') AS acme_id \gset
-- The first mail after a change of the table is put by the statement, the others are not.
CREATE FUNCTION pg_temp.warm_up(word text) RETURNS void LANGUAGE sql AS $$
	SELECT pg_temp.invite(word || n || '@warm.test') FROM generate_series(1, 3) AS n
$$;
CREATE FUNCTION pg_temp.mails_to(address text) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM usermgmt.outbox WHERE recipient = address
$$;

SELECT pg_temp.warm_up('a') AS x \gset
SELECT results_eq($$SELECT DISTINCT kind, state, attempts, fence, held, holder, worker, finished_at FROM usermgmt.outbox WHERE recipient LIKE 'a_@warm.test'$$,
	$$VALUES ('invitation', 'queued', 0, 0::bigint, false, NULL::bigint, NULL::text, NULL::timestamptz)$$, 'all the rows are alike');
SELECT is(pg_temp.mails_to('a1@warm.test') + pg_temp.mails_to('a2@warm.test') + pg_temp.mails_to('a3@warm.test'), 3::bigint, 'each is there once');
SET LOCAL enable_seqscan = off;
SELECT is((SELECT count(*) FROM usermgmt.outbox AS o JOIN usermgmt.invitation AS i ON o.subject_id = i.invitation_id AND o.tenant_id = i.tenant_id
	WHERE i.email LIKE 'a_@warm.test'), 3::bigint, 'and is found by the index');
RESET enable_seqscan;

ALTER TABLE usermgmt.outbox ADD CONSTRAINT not_to_bob CHECK (recipient <> 'bob@acme.test');
SELECT pg_temp.warm_up('b') AS x \gset
SELECT throws_ok($$SELECT pg_temp.invite('bob@acme.test')$$, '23514', NULL, 'a new constraint is kept');
SELECT lives_ok($$SELECT pg_temp.invite('carol@acme.test')$$, 'and refuses nothing else afterwards');
ALTER TABLE usermgmt.outbox DROP CONSTRAINT not_to_bob;
SELECT lives_ok($$SELECT pg_temp.invite('bob@acme.test')$$, 'without it the row goes in');

CREATE FUNCTION pg_temp.is_welcome(address text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$SELECT address <> 'ivy@acme.test'$$;
ALTER TABLE usermgmt.outbox ADD CONSTRAINT all_are_welcome CHECK (pg_temp.is_welcome(recipient));
SELECT pg_temp.warm_up('g') AS x \gset
SELECT throws_ok($$SELECT pg_temp.invite('ivy@acme.test')$$, '23514', NULL, 'a constraint may call a function');
SELECT pg_temp.warm_up('h') AS x \gset
CREATE OR REPLACE FUNCTION pg_temp.is_welcome(address text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$SELECT address <> 'jim@acme.test'$$;
SELECT throws_ok($$SELECT pg_temp.invite('jim@acme.test')$$, '23514', NULL, 'and holds as that is replaced');
SELECT lives_ok($$SELECT pg_temp.invite('ivy@acme.test')$$, 'and as it was no more');
ALTER TABLE usermgmt.outbox DROP CONSTRAINT all_are_welcome;

-- Columns that somebody added.
ALTER TABLE usermgmt.outbox ADD COLUMN note text;
ALTER TABLE usermgmt.outbox ALTER COLUMN note SET DEFAULT 'none';
ALTER TABLE usermgmt.invitation_count ADD COLUMN place bigint NOT NULL GENERATED ALWAYS AS IDENTITY;
SELECT pg_temp.warm_up('i') AS x \gset
SELECT results_eq($$SELECT note FROM usermgmt.outbox WHERE recipient LIKE 'i_@warm.test'$$, $$VALUES ('none'), ('none'), ('none')$$, 'a default is given to every row');
ALTER TABLE usermgmt.outbox DROP COLUMN note;
ALTER TABLE usermgmt.invitation_count DROP COLUMN place;
CREATE DOMAIN pg_temp.note AS text;
ALTER TABLE usermgmt.outbox ADD COLUMN note pg_temp.note;
ALTER DOMAIN pg_temp.note SET DEFAULT 'nothing';
SELECT pg_temp.warm_up('j') AS x \gset
SELECT results_eq($$SELECT note::text FROM usermgmt.outbox WHERE recipient LIKE 'j_@warm.test'$$, $$VALUES ('nothing'), ('nothing'), ('nothing')$$, 'also that of a domain');
ALTER TABLE usermgmt.outbox DROP COLUMN note;

CREATE UNIQUE INDEX one_mail_each ON usermgmt.outbox (recipient) WHERE kind = 'invitation';
SELECT pg_temp.warm_up('c') AS x \gset
SELECT usermgmt.revoke_invitation(invitation_id) AS x FROM usermgmt.invitation WHERE email = 'bob@acme.test' \gset
SELECT throws_ok($$SELECT pg_temp.invite('bob@acme.test')$$, '23505', NULL, 'a new unique index is kept');
SELECT lives_ok($$SELECT pg_temp.invite('dora@acme.test')$$, 'and refuses nothing else afterwards');
SELECT is(pg_temp.mails_to('bob@acme.test'), 1::bigint, 'what was refused is not there');
DROP INDEX usermgmt.one_mail_each;

CREATE FUNCTION pg_temp.change_mail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.recipient = 'inner@acme.test' THEN RETURN NULL; END IF;
	IF NEW.recipient = 'outer@acme.test' THEN PERFORM pg_temp.invite('second@acme.test'); END IF;
	NEW.recipient_name := 'Changed';
	RETURN NEW;
END $$;
CREATE TRIGGER change_mail BEFORE INSERT ON usermgmt.outbox FOR EACH ROW EXECUTE FUNCTION pg_temp.change_mail();
SELECT pg_temp.warm_up('d') AS x \gset
SELECT pg_temp.invite('inner@acme.test') AS x \gset
SELECT is(pg_temp.mails_to('inner@acme.test'), 0::bigint, 'a trigger before the row can leave it out');
SELECT pg_temp.invite('outer@acme.test') AS x \gset
SELECT results_eq($$SELECT recipient, recipient_name FROM usermgmt.outbox WHERE recipient IN ('outer@acme.test', 'second@acme.test', 'd3@warm.test') ORDER BY 1$$,
	$$VALUES ('d3@warm.test', 'Changed'), ('outer@acme.test', 'Changed'), ('second@acme.test', 'Changed')$$, 'change it, and insert another one meanwhile');
DROP TRIGGER change_mail ON usermgmt.outbox;

CREATE TEMP TABLE seen (recipient text);
CREATE FUNCTION pg_temp.see_mail() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_temp AS $$
BEGIN INSERT INTO seen VALUES (NEW.recipient); RETURN NULL; END $$;
CREATE TRIGGER see_mail AFTER INSERT ON usermgmt.outbox FOR EACH ROW EXECUTE FUNCTION pg_temp.see_mail();
SELECT pg_temp.warm_up('e') AS x \gset
SELECT results_eq($$SELECT recipient FROM seen ORDER BY 1$$, $$VALUES ('e1@warm.test'), ('e2@warm.test'), ('e3@warm.test')$$,
	'a trigger after the row fires');
DROP TRIGGER see_mail ON usermgmt.outbox;

SELECT pg_temp.warm_up('f') AS x \gset
SELECT throws_ok($$UPDATE usermgmt.outbox SET attempts = -1 WHERE recipient = 'f3@warm.test'$$, '23514', NULL, 'the constraints of the table stand');
SAVEPOINT s;
SELECT pg_temp.invite('gone@acme.test') AS x \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(pg_temp.mails_to('gone@acme.test'), 0::bigint, 'a row rolls back with its savepoint');
SELECT lives_ok($$SELECT pg_temp.invite('stays@acme.test')$$, 'and the next one goes in');

SELECT * FROM finish();
ROLLBACK;
