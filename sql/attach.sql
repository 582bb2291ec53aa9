-- The application's own tables: attached, isolated, audited, handed over, detached.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usermgmt;
RESET client_min_messages;
\pset null null
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT status FROM usermgmt.create_tenant('acme', 'Acme', 'olivia@acme.example', 'Olivia');
SELECT status FROM usermgmt.create_tenant('globex', 'Globex', 'gus@globex.example', 'Gus');
SELECT usermgmt.use_tenant('globex') AS globex \gset
SELECT usermgmt.use_tenant('acme') AS acme \gset
SELECT user_id AS eva, session_token FROM usermgmt.invite_user('eva@example.org') AS i, usermgmt.accept_invitation(split_part(usermgmt.invitation_link(i.invitation_id), '=', 2), 'seven quiet lanterns') \gset

CREATE TABLE public.lead (
	id integer PRIMARY KEY,
	tenant_id uuid NOT NULL,
	workspace_id uuid,
	owner_id uuid,
	created_by uuid,
	name text NOT NULL,
	api_key text
);
SELECT usermgmt.attach_table('public.lead', 'tenant_id', 'workspace_id', 'owner_id', isolate => true, redact => '{api_key}');
CREATE INDEX ON public.lead (tenant_id, owner_id);
SELECT usermgmt.attach_table('public.lead', 'tenant_id', 'workspace_id', 'owner_id', isolate => true, redact => '{api_key}');
SELECT * FROM usermgmt.attached_tables \gx
\d public.lead

-- The application sees and writes its person's tenant.
INSERT INTO public.lead (id, tenant_id, name) VALUES (1, :'globex', 'Hank');
CREATE ROLE regress_usermgmt_app;
SELECT usermgmt.grant_access('regress_usermgmt_app', 'application');
GRANT ALL ON public.lead TO regress_usermgmt_app;
SET LOCAL ROLE regress_usermgmt_app;
SELECT name FROM public.lead;
SELECT role FROM usermgmt.use_session(:'session_token');
INSERT INTO public.lead SELECT n, usermgmt.current_tenant_id(), NULL, usermgmt.current_user_id(), usermgmt.current_user_id(), 'Lead ' || n, 'secret' FROM generate_series(2, 4) AS n RETURNING id, name;
UPDATE public.lead SET name = 'Initech', api_key = 'another' WHERE id < 3;
SELECT id, name FROM public.lead ORDER BY id;
INSERT INTO public.lead (id, tenant_id, name) VALUES (5, :'globex', 'Intruder');
\echo :SQLSTATE
INSERT INTO public.lead (id, tenant_id, owner_id, name) VALUES (5, :'acme', '00000000-0000-7000-8000-000000000001', 'Whose?');
\echo :SQLSTATE
SELECT usermgmt.record_activity('export');
SELECT usermgmt.record_activity('reading');
\echo :SQLSTATE
SELECT usermgmt.end_use();
RESET ROLE;
SELECT action, object_id, new ->> 'name' AS name, new ? 'api_key' AS shows_key, actor_email FROM usermgmt.audit_trail WHERE object_type = 'public.lead' ORDER BY event_id;

-- Whoever leaves hands over.
SELECT resources, closes_account FROM usermgmt.preview_removal(:'eva');
SELECT email, resources FROM usermgmt.remove_user(:'eva', reason => 'left', confirm => true);
SELECT l.id, a.email AS owner, l.created_by = :'eva' AS created_by_eva FROM public.lead AS l LEFT JOIN usermgmt.account AS a ON a.user_id = l.owner_id ORDER BY l.id;

-- Renamed, it is followed; dropped, it is not.
ALTER TABLE public.lead RENAME COLUMN owner_id TO responsible;
SELECT owner_column, problem FROM usermgmt.attached_tables;
ALTER TABLE public.lead DROP COLUMN responsible;

-- What can not be attached.
SELECT usermgmt.attach_table('usermgmt.membership');
SELECT usermgmt.attach_table('public.lead', 'tenant');
SELECT usermgmt.attach_table('public.lead', 'name');
SELECT usermgmt.attach_table('public.lead', isolate => true);
SELECT usermgmt.attach_table('public.lead', on_removal => 'delete');
CREATE TABLE public.keyless (tenant_id uuid);
SELECT usermgmt.attach_table('public.keyless', 'tenant_id');
CREATE TEMPORARY TABLE passing (id integer PRIMARY KEY);
SELECT usermgmt.attach_table('passing');
SET LOCAL ROLE regress_usermgmt_app;
SELECT usermgmt.attach_table('public.lead');
RESET ROLE;

-- And back.
SELECT usermgmt.detach_table('public.lead');
\d public.lead
SELECT usermgmt.detach_table('public.lead');
\echo :SQLSTATE
ROLLBACK;
