-- Tokens as a caller meets them: in links, and for sessions.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usermgmt;
RESET client_min_messages;
\pset null null
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT tenant_id IS NOT NULL AS created FROM usermgmt.create_tenant('acme', 'Acme', 'olivia@acme.example');
SELECT substring(text_body FROM 'token=(\S+)') AS reset FROM usermgmt.outbox_claim('psql') \gset
SELECT usermgmt.use_tenant('acme') IS NOT NULL AS selected;
SELECT invitation_id FROM usermgmt.invite_user('eva@example.org') \gset
SELECT usermgmt.invitation_link(:'invitation_id') AS link \gset
SELECT split_part(:'link', '?token=', 2) AS invite \gset

-- A link is the application's page and a token of one length, in letters that
-- survive every mail program.
SELECT split_part(:'link', '=', 1) AS page, length(:'invite') AS length, :'invite' ~ '^[A-Za-z0-9_-]+$' AS plain;

-- It is derived, so asking twice gives it twice.
SELECT usermgmt.invitation_link(:'invitation_id') = :'link' AS same;

-- One altered letter, another purpose, nothing at all: the same answer.
SELECT usermgmt.preview_invitation(overlay(:'invite' PLACING CASE substr(:'invite', 50, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM 50 FOR 1));
\echo :SQLSTATE
SELECT usermgmt.preview_invitation(:'reset');
SELECT usermgmt.preview_invitation('');
SELECT usermgmt.preview_invitation(NULL);
SELECT usermgmt.reset_password(:'invite', 'correct horse battery');
\echo :SQLSTATE

-- A session token says what it is, so that scanners can find a leaked one.
SELECT usermgmt.reset_password(:'reset', 'correct horse battery');
SELECT session_token AS session FROM usermgmt.log_in('olivia@acme.example', 'correct horse battery') \gset
SELECT left(:'session', 4) AS begins, length(:'session') AS length;
SELECT usermgmt.use_session(:'session' || 'x');
\echo :SQLSTATE
SELECT usermgmt.use_session(NULL);
SELECT usermgmt.use_session(:'invite');

-- A key file that can not be used stops links, and says what is wanted.
SET LOCAL usermgmt.key_file = '/nowhere/usermgmt.key';
SELECT usermgmt.invitation_link(:'invitation_id');
\echo :SQLSTATE
ROLLBACK;
