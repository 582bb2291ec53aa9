-- People, each once. There are no functions for them yet: this is the table
-- as an operator with ownership of it sees it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usermgmt;
RESET client_min_messages;
\pset null null
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT status FROM usermgmt.create_tenant('acme', 'Acme', ' Olivia@Acme.Example ', 'Olivia');

-- The address is kept as typed, and compared in one form.
SELECT email, canonical_email, name, password_hash IS NULL AS no_password FROM usermgmt.account;
UPDATE usermgmt.account SET email = 'olivia.o@acme.example', canonical_email = 'otto@example.org';
SELECT email, canonical_email FROM usermgmt.account;
UPDATE usermgmt.account SET email = 'olivia at acme';
\echo :SQLSTATE
\set VERBOSITY terse
UPDATE usermgmt.account SET password_hash = 'hunter2';
\set VERBOSITY default

-- A second account of the same address.
INSERT INTO usermgmt.account (user_id, email) VALUES ('00000000-0000-7000-8000-000000000001', 'OLIVIA.O@acme.example');
\echo :SQLSTATE

-- The link mailed to the old address is void; an operator sends another.
SELECT count(*) FROM usermgmt.outbox_claim('psql');
SELECT usermgmt.use_tenant('acme') IS NOT NULL AS selected;
SELECT usermgmt.send_password_reset(user_id) FROM usermgmt.members;
SELECT usermgmt.end_use();

-- A new address shows in the sessions that go on; nobody is closed who belongs to a tenant.
SELECT substring(text_body FROM 'token=(\S+)') AS token FROM usermgmt.outbox_claim('psql') \gset
SELECT usermgmt.reset_password(:'token', 'correct horse battery');
SELECT session_token AS olivia FROM usermgmt.log_in('olivia.o@acme.example', 'correct horse battery') \gset
SELECT email FROM usermgmt.use_session(:'olivia');
UPDATE usermgmt.account SET email = 'olivia@acme.example';
SELECT email FROM usermgmt.use_session(:'olivia');
UPDATE usermgmt.account SET closed_at = now();
\echo :SQLSTATE
SELECT email FROM usermgmt.use_session(:'olivia');
\echo :SQLSTATE
SELECT action, subject_email FROM usermgmt.audit_event WHERE object_type = 'account' ORDER BY event_id;
ROLLBACK;
