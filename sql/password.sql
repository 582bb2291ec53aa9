-- Choosing a password by a mailed link.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usermgmt;
RESET client_min_messages;
\pset null null
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT status FROM usermgmt.create_tenant('acme', 'Acme Anvils', 'olivia@acme.example', 'Olivia Owner');
SELECT substring(text_body FROM 'token=(\S+)') AS token FROM usermgmt.outbox_claim('psql') \gset

-- Which passwords are refused, and why.
SELECT usermgmt.reset_password(:'token', 'short');
\echo :SQLSTATE
SELECT usermgmt.reset_password(:'token', NULL);
SELECT usermgmt.reset_password(:'token', repeat('long', 300));
SELECT usermgmt.reset_password(:'token', 'OLIVIA@acme.example');
SELECT usermgmt.reset_password(:'token', 'olivia owner');
SELECT usermgmt.reset_password(:'token', 'ACME ANVILS');
SELECT usermgmt.reset_password(:'token', 'usermgmt');

-- A refused one leaves the link open; a used link is used.
SELECT usermgmt.reset_password(:'token', 'correct horse battery');
SELECT usermgmt.reset_password(:'token', 'correct horse battery');
\echo :SQLSTATE
SELECT left(password_hash, 10) AS stored FROM usermgmt.account;

-- "Forgot password" gives the same answer to everybody, and one mail per cool-down.
SELECT usermgmt.request_password_reset('olivia@acme.example');
SELECT usermgmt.request_password_reset('olivia@acme.example');
SELECT usermgmt.request_password_reset('nobody@example.org');
SELECT usermgmt.request_password_reset('nobody');
SELECT kind, recipient, state FROM usermgmt.mail_queue WHERE state = 'queued' ORDER BY message_id;
SELECT substring(text_body FROM 'token=(\S+)') AS mine, kind FROM usermgmt.outbox_claim('psql') WHERE kind = 'password_reset' \gset

-- An admin sends one too; the newest link is the one that works.
SELECT usermgmt.use_tenant('acme') IS NOT NULL AS selected;
SELECT user_id AS olivia FROM usermgmt.members \gset
SELECT usermgmt.send_password_reset(:'olivia');
SELECT usermgmt.send_password_reset(:'olivia');
\echo :SQLSTATE
SELECT usermgmt.send_password_reset('00000000-0000-7000-8000-000000000001');
\echo :SQLSTATE
SELECT usermgmt.send_password_reset(NULL);
SELECT usermgmt.reset_password(:'mine', 'correct horse battery');
\echo :SQLSTATE
SELECT substring(text_body FROM 'token=(\S+)') AS token,
	regexp_replace(text_body, 'token=\S+|until [0-9]+ [A-Z][a-z]+ 2[0-9]+, [0-9:]+ UTC', '...', 'g') AS text
FROM usermgmt.outbox_claim('psql') \gset
\echo :text
UPDATE usermgmt.password_reset SET expires_at = clock_timestamp() WHERE state = 'open';
SELECT usermgmt.reset_password(:'token', 'correct horse battery');
\echo :SQLSTATE
SELECT origin, state FROM usermgmt.password_reset ORDER BY reset_id;
ROLLBACK;
