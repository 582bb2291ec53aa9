-- Founding a tenant, and working in it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usermgmt;
RESET client_min_messages;
\pset null null
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT slug, name, status, branding, metadata, suspended_at, suspend_reason
FROM usermgmt.create_tenant(slug => 'acme', name => 'Acme GmbH', owner_email => 'olivia@acme.example', owner_name => 'Olivia');
SELECT kind, recipient FROM usermgmt.mail_queue;

-- What is refused, and what to do about it.
SELECT usermgmt.create_tenant('acme', 'Another', 'otto@example.org');
\echo :SQLSTATE
SELECT usermgmt.create_tenant('Acme_2', 'Another', 'otto@example.org');
\echo :SQLSTATE
SELECT usermgmt.create_tenant('acme-2', '  ', 'otto@example.org');
SELECT usermgmt.create_tenant('acme-2', NULL, 'otto@example.org');
SELECT usermgmt.create_tenant('acme-2', E'An\nother', 'otto@example.org');
SELECT usermgmt.create_tenant('acme-2', 'Another', 'otto@example');
\echo :SQLSTATE
SELECT usermgmt.create_tenant('acme-2', 'Another', E'otto@example.org\r\nBcc: eva@example.org');

-- One person may own several.
SELECT slug, status FROM usermgmt.create_tenant('globex', 'Globex', 'Olivia@ACME.example');
SELECT slug, name, status FROM usermgmt.tenants ORDER BY slug;

-- An operator selects one by its slug or id.
SELECT usermgmt.use_tenant('acme') = tenant_id AS by_slug, usermgmt.use_tenant(tenant_id::text) = tenant_id AS by_id
FROM usermgmt.tenant WHERE slug = 'acme';
SELECT slug, status FROM usermgmt.tenants;
SELECT email, role, is_primary_owner, activity FROM usermgmt.members;
SELECT usermgmt.use_tenant('initech');
\echo :SQLSTATE
SELECT slug FROM usermgmt.tenants;

-- Values of its own, by function and in the column.
SELECT usermgmt.set_tenant_setting('session_ttl', '0');
UPDATE usermgmt.tenant SET settings = settings || '{"invitation_ttl": "3d", "base_url": "https://app.acme.example"}' WHERE slug = 'acme';
SELECT expires_at - created_at AS lives FROM usermgmt.invite_user('eva@example.org');
\set VERBOSITY terse
UPDATE usermgmt.tenant SET settings = '[]' WHERE slug = 'acme';
\set VERBOSITY default

-- Suspended, it admits nobody and invites nobody.
UPDATE usermgmt.tenant SET suspended_at = now(), suspend_reason = 'unpaid' WHERE slug = 'acme';
SELECT slug, status, suspend_reason FROM usermgmt.tenants;
SELECT usermgmt.invite_user('ida@example.org');
\echo :SQLSTATE

-- It keeps an owner, whatever is tried.
DELETE FROM usermgmt.membership;
\echo :SQLSTATE
SET CONSTRAINTS ALL IMMEDIATE;
TRUNCATE usermgmt.membership CASCADE;
\set VERBOSITY terse
UPDATE usermgmt.tenant SET owner_count = 0;
ROLLBACK;
