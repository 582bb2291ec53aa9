-- Workspaces, who works in them, places in invitations, many invitations at once.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usermgmt;
RESET client_min_messages;
\pset null null
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT status FROM usermgmt.create_tenant('acme', 'Acme', 'olivia@acme.example', 'Olivia');
SELECT substring(text_body FROM 'token=(\S+)') AS token FROM usermgmt.outbox_claim('psql') \gset
SELECT usermgmt.reset_password(:'token', 'correct horse battery') AS x \gset
SELECT session_token AS olivia FROM usermgmt.log_in('olivia@acme.example', 'correct horse battery') \gset
SELECT role FROM usermgmt.use_session(:'olivia');

-- Two client workspaces.
SELECT workspace_id AS site, slug, name, settings, status, member_count, health FROM usermgmt.create_workspace('client-a', 'Client A', '{"currency": "EUR"}') \gset
SELECT slug, name, settings, metadata, status, member_count, health, archived_at FROM usermgmt.workspaces;
SELECT workspace_id AS shop FROM usermgmt.create_workspace('client-b', 'Client B') \gset
SELECT usermgmt.create_workspace('client-a', 'Again');
\echo :SQLSTATE
SELECT usermgmt.create_workspace('Client A', 'Again');
\echo :SQLSTATE
SELECT usermgmt.create_workspace('client-c', ' ');
\echo :SQLSTATE
SELECT usermgmt.create_workspace('client-c', 'Client C', '["EUR"]');
\echo :SQLSTATE
SELECT slug, name, settings FROM usermgmt.update_workspace(:'shop', slug => 'client-bee');
SELECT usermgmt.update_workspace(:'shop', slug => 'client-a');
\echo :SQLSTATE

-- Invited into both; joining gives exactly these places.
SELECT invitation_id, email, workspaces FROM usermgmt.invite_user('eva@example.org', workspaces => '{"client-a": "admin", "client-bee": "viewer"}') \gset
\echo :workspaces
SELECT usermgmt.invite_user('ida@example.org', workspaces => '{"client-z": "member"}');
\echo :SQLSTATE
SELECT usermgmt.invite_user('ida@example.org', workspaces => '{"client-a": "boss"}');
\echo :SQLSTATE
SELECT usermgmt.invite_user('ida@example.org', workspaces => '["client-a", "client-a"]');
\echo :SQLSTATE
SELECT usermgmt.invite_user('ida@example.org', workspaces => '"client-a"');
\echo :SQLSTATE
SELECT usermgmt.invite_user('ida@example.org', workspaces => '[["client-a"]]');
\echo :SQLSTATE
SELECT split_part(usermgmt.invitation_link(:'invitation_id'), '=', 2) AS link \gset
SELECT outcome, session_token AS eva, user_id AS eva_id FROM usermgmt.accept_invitation(:'link', 'seven quiet lanterns') \gset
SELECT slug, email, role FROM usermgmt.workspace_members ORDER BY slug;
SELECT email, role, workspaces FROM usermgmt.members ORDER BY joined_at;
SELECT usermgmt.change_invitation_workspaces(:'invitation_id', '{}');
\echo :SQLSTATE

-- Many at once; a bad address does not stop the others.
SELECT email, invitation_id IS NOT NULL AS invited, outcome
FROM usermgmt.invite_users('{ida@example.org,"no address",eva@example.org,IDA@example.org,NULL,tom@example.org}', 'member', '["client-bee"]', 'Welcome aboard') WITH ORDINALITY ORDER BY ordinality;
SELECT usermgmt.invite_users(NULL);
\echo :SQLSTATE
SELECT usermgmt.invite_users('{jon@example.org}', 'owner');
\echo :SQLSTATE
SELECT email, role, workspaces, message, status FROM usermgmt.pending_invitations ORDER BY email;

-- While it is open, the places can be changed.
SELECT invitation_id AS ida FROM usermgmt.pending_invitations WHERE email = 'ida@example.org' \gset
SELECT email, workspaces FROM usermgmt.change_invitation_workspaces(:'ida', '{"client-a": "member", "client-bee": "viewer"}');
SELECT split_part(usermgmt.invitation_link(:'ida'), '=', 2) AS link \gset
SELECT usermgmt.archive_workspace(:'shop') IS NOT NULL AS archived;
SELECT outcome, session_token AS ida, user_id AS ida_id FROM usermgmt.accept_invitation(:'link', 'three wise sparrows') \gset
SELECT slug, role FROM usermgmt.workspace_members WHERE email = 'ida@example.org';

-- Archived: open to nobody, and kept.
SELECT slug, status, archived_at IS NOT NULL AS dated FROM usermgmt.workspaces ORDER BY slug;
SELECT usermgmt.has_workspace_role(:'shop', 'viewer');
SELECT usermgmt.set_workspace_member(:'shop', :'ida_id');
\echo :SQLSTATE
SELECT usermgmt.archive_workspace(:'shop');
\echo :SQLSTATE
SELECT status, member_count FROM usermgmt.restore_workspace(:'shop');
SELECT usermgmt.restore_workspace(:'shop');
\echo :SQLSTATE

-- An admin of one workspace, who is a member of the tenant.
SELECT email, role FROM usermgmt.use_session(:'eva');
SELECT slug, name, status, member_count, health FROM usermgmt.workspaces ORDER BY slug;
SELECT slug, email, role FROM usermgmt.workspace_members ORDER BY slug, email;
SELECT r AS role, usermgmt.has_workspace_role(:'site', r) AS in_a, usermgmt.has_workspace_role(:'shop', r) AS in_bee FROM unnest(ARRAY['admin', 'member', 'viewer']) AS r;
SELECT usermgmt.has_workspace_role(:'site', 'owner');
\echo :SQLSTATE
SELECT slug, email, role FROM usermgmt.set_workspace_member(:'site', :'ida_id', 'viewer');
SELECT slug, email, role FROM usermgmt.set_workspace_member(:'site', :'ida_id');
SELECT usermgmt.set_workspace_member(:'site', :'ida_id', 'owner');
\echo :SQLSTATE
SELECT usermgmt.set_workspace_member(:'shop', :'ida_id', 'viewer');
\echo :SQLSTATE
SELECT usermgmt.set_workspace_member(:'site', '00000000-0000-7000-8000-000000000001');
\echo :SQLSTATE
SELECT settings FROM usermgmt.update_workspace(:'site', settings => '{"currency": "USD"}');
SELECT usermgmt.archive_workspace(:'site');
\echo :SQLSTATE
SELECT usermgmt.create_workspace('mine', 'Mine');
\echo :SQLSTATE
SELECT usermgmt.workspace_health(:'site');
SELECT usermgmt.workspace_health('00000000-0000-7000-8000-000000000001');
\echo :SQLSTATE

-- A member of it changes nothing, and sees the own place alone.
SELECT email, role FROM usermgmt.use_session(:'ida');
SELECT slug, email, role FROM usermgmt.workspace_members;
SELECT usermgmt.update_workspace(:'site', name => 'Ours');
\echo :SQLSTATE
SELECT usermgmt.workspace_health(:'shop');
\echo :SQLSTATE

-- Taken off it again; the membership stays. A deactivated person gets no place.
SELECT email, role FROM usermgmt.use_session(:'eva');
SELECT usermgmt.remove_workspace_member(:'site', :'ida_id');
SELECT usermgmt.remove_workspace_member(:'site', :'ida_id');
\echo :SQLSTATE
SELECT role FROM usermgmt.use_session(:'olivia');
SELECT status, workspaces FROM usermgmt.deactivate_user(:'ida_id');
SELECT usermgmt.set_workspace_member(:'site', :'ida_id');
\echo :SQLSTATE
SELECT action, subject_email, old ->> 'role' AS old_role, new ->> 'role' AS new_role
FROM usermgmt.audit_trail WHERE action ~ '^workspace\.' ORDER BY event_id;

-- Without a session there is nothing to see.
SELECT usermgmt.log_out();
SELECT count(*) FROM usermgmt.workspaces;
SELECT usermgmt.has_workspace_role(:'site', 'viewer');
SELECT usermgmt.create_workspace('mine', 'Mine');
\echo :SQLSTATE

-- Identifiers as the outside sees them.
SELECT usermgmt.public_id('ws', '01890a5d-ac96-774b-bcce-b302099a8057');
SELECT usermgmt.id('ws_01h455vb4pex5vsknk084sn02q'), usermgmt.id('01890A5D-AC96-774B-BCCE-B302099A8057');
SELECT usermgmt.id('ws_01h455vb4pex5vsknk084sn02');
\echo :SQLSTATE
SELECT usermgmt.public_id('team', '01890a5d-ac96-774b-bcce-b302099a8057');
\echo :SQLSTATE
ROLLBACK;
