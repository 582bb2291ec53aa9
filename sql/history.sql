-- What the history of access shows.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usermgmt;
RESET client_min_messages;
\pset null null
\pset format unaligned
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT slug FROM usermgmt.create_tenant('acme', 'Acme', 'olivia@acme.example');
SELECT usermgmt.use_tenant('acme') IS NOT NULL AS selected;

-- A change is history once it is committed; this writes it before.
SELECT count(*) FROM usermgmt.access_at('infinity');
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
SELECT email, role, status, workspaces FROM usermgmt.access_at('infinity');
SELECT count(*) FROM usermgmt.access_at(now() - interval '1 day');
SELECT user_id AS olivia FROM usermgmt.members \gset
SELECT tenant, kind, workspace, role, status, valid_until, changed_by_email, reason FROM usermgmt.access_history(:'olivia');
SELECT email, permission, allowed, role, blocked_by, allowed_roles, how FROM usermgmt.explain_access(:'olivia', 'manage_billing');

-- What can not be asked.
SELECT * FROM usermgmt.access_at('infinity', 'globex');
\echo :SQLSTATE
SELECT * FROM usermgmt.access_at(NULL);
\echo :SQLSTATE
SELECT * FROM usermgmt.access_history('00000000-0000-7000-8000-000000000000');
\echo :SQLSTATE
SELECT * FROM usermgmt.explain_access(:'olivia', 'fly');
\echo :SQLSTATE
DELETE FROM usermgmt.membership_history;
\echo :SQLSTATE
CREATE ROLE regress_usermgmt_nobody;
SELECT usermgmt.grant_access('regress_usermgmt_nobody', 'application');
SET LOCAL ROLE regress_usermgmt_nobody;
SELECT * FROM usermgmt.access_at('infinity');
\echo :SQLSTATE
RESET ROLE;
ROLLBACK;
