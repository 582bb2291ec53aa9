-- Signing in, acting, signing out.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usermgmt;
RESET client_min_messages;
\pset null null
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT status FROM usermgmt.create_tenant('acme', 'Acme', 'olivia@acme.example', 'Olivia');
SELECT substring(text_body FROM 'token=(\S+)') AS token FROM usermgmt.outbox_claim('psql') \gset
SELECT usermgmt.reset_password(:'token', 'correct horse battery');

-- A bad password is an outcome, not an error; so is an unknown address.
SELECT outcome, session_token, role, detail FROM usermgmt.log_in('olivia@acme.example', 'incorrect horse');
SELECT outcome FROM usermgmt.log_in('nobody@example.org', 'incorrect horse');
SELECT outcome FROM usermgmt.log_in('not an address', NULL);
SELECT outcome FROM usermgmt.log_in('olivia@acme.example', 'correct horse battery', tenant => 'globex');

-- Five wrong ones are free; after the sixth the next has to wait.
SELECT n, outcome, (detail ->> 'retry_after')::integer BETWEEN 1 AND 2 AS says_when
FROM generate_series(1, 7) AS n, usermgmt.log_in('otto@example.org', 'guess' || n);
SELECT address, failures FROM usermgmt.login_throttle ORDER BY address COLLATE "C";

-- The right one gives a token, once.
SELECT outcome, left(session_token, 4) AS token, role, expires_at - now() BETWEEN '7:59' AND '8:01' AS lives_8_hours, detail
FROM usermgmt.log_in('Olivia@Acme.example', 'correct horse battery', ip => '192.0.2.7', user_agent => 'psql');
SELECT session_token AS olivia FROM usermgmt.log_in('olivia@acme.example', 'correct horse battery') \gset
SELECT usermgmt.log_in('olivia@acme.example', 'correct horse battery', ip => 'somewhere');
\echo :SQLSTATE

-- The token makes the person the acting user until the transaction ends.
SELECT role, email FROM usermgmt.use_session(:'olivia');
SELECT usermgmt.current_member_role(), usermgmt.has_role('admin'), usermgmt.current_session_id() IS NOT NULL AS bound;
SAVEPOINT before;
SELECT usermgmt.end_use();
SELECT usermgmt.current_member_role();
ROLLBACK TO before;
SELECT usermgmt.current_member_role();
SELECT usermgmt.use_session(:'olivia', 'forever');
\echo :SQLSTATE

-- Two tenants: the person chooses.
SELECT status FROM usermgmt.create_tenant('globex', 'Globex', 'olivia@acme.example');
SELECT outcome, detail #>> '{tenants,0,slug}' AS first, detail #>> '{tenants,1,name}' AS second
FROM usermgmt.log_in('olivia@acme.example', 'correct horse battery');
SELECT outcome, role FROM usermgmt.log_in('olivia@acme.example', 'correct horse battery', tenant => 'globex');

-- Logging out ends the session for good.
SELECT usermgmt.log_out();
SELECT usermgmt.current_member_role();
SELECT usermgmt.log_out();
\echo :SQLSTATE
SELECT usermgmt.use_session(:'olivia');
\echo :SQLSTATE
SELECT state, end_reason, count(*) FROM usermgmt.session GROUP BY 1, 2 ORDER BY 1;
UPDATE usermgmt.session SET state = 'open', ended_at = NULL, end_reason = NULL WHERE state = 'ended';
\echo :SQLSTATE
ROLLBACK;

-- Gone with the transaction.
SELECT usermgmt.current_member_role();
