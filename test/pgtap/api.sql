-- The public surface that callers build on: names, arguments, results, columns,
-- accesses, settings and errors. Things are added at the end, never renamed.
BEGIN;
\ir helpers.psql
SELECT no_plan();

-- Functions: "?" is an optional argument (DEFAULT NULL). Who: A application, O
-- operator, R relay, U auditor; an operator has what an application has.
CREATE TEMPORARY TABLE contract (who text, declaration text, result text);
COPY contract FROM stdin (DELIMITER '|');
|grant_access(database_role name, access text)|void
|revoke_access(database_role name, access text)|void
O|activate()|void
A|use_session(token text, scope text?)|session_context
A|end_use()|void
O|use_tenant(tenant text)|uuid
A|current_user_id()|uuid
AU|current_tenant_id()|uuid
A|current_session_id()|uuid
A|current_member_role()|text
AU|has_role(role text)|boolean
A|has_permission(permission text)|boolean
A|has_workspace_role(workspace_id uuid, role text)|boolean
A|id(public_id text)|uuid
O|create_tenant(slug text, name text, owner_email text, owner_name text?)|tenants
A|sign_up(tenant_slug text, tenant_name text, email text, password text, name text?)|session_start
A|update_tenant(name text?, slug text?, branding jsonb?)|tenants
A|set_tenant_setting(name text, value text)|void
A|reset_tenant_setting(name text)|void
A|tenant_setting(name text)|text
O|suspend_tenant(reason text)|tenants
O|resume_tenant()|tenants
A|transfer_ownership(new_owner_id uuid, reason text?)|members
A|allow_invite_domain(domain text)|void
A|disallow_invite_domain(domain text)|void
A|set_metadata(kind text, id uuid, metadata jsonb)|void
A|invite_user(email text, role text?, workspaces jsonb?, message text?, expires_in interval?, send_at timestamptz?, name text?)|invitations
A|invite_users(emails text[], role text?, workspaces jsonb?, message text?)|TABLE(email text, invitation_id uuid, outcome text)
A|resend_invitation(invitation_id uuid, extend boolean?)|invitations
A|revoke_invitation(invitation_id uuid, reason text?)|invitations
A|change_invitation_role(invitation_id uuid, role text, reason text?)|invitations
A|change_invitation_workspaces(invitation_id uuid, workspaces jsonb)|invitations
A|invitation_link(invitation_id uuid)|text
A|preview_invitation(token text)|invitation_preview
A|accept_invitation(token text, password text?, name text?, ip text?, user_agent text?)|session_start
A|decline_invitation(token text)|invitations
A|log_in(email text, password text, tenant text?, ip text?, user_agent text?)|session_start
A|switch_tenant(tenant text)|session_start
O|start_session(user_id uuid, ip text?, user_agent text?)|session_start
O|link_identity(user_id uuid, provider text, subject text)|void
O|unlink_identity(user_id uuid, provider text, subject text)|void
O|user_by_identity(provider text, subject text)|uuid
A|log_out()|void
A|revoke_session(session_id uuid, reason text?)|void
A|revoke_user_sessions(user_id uuid, reason text?)|integer
A|request_password_reset(email text)|void
A|send_password_reset(user_id uuid)|void
A|preview_password_reset(token text)|password_reset_preview
A|reset_password(token text, new_password text)|void
A|change_password(current_password text, new_password text)|void
A|change_role(user_id uuid, role text, reason text?)|members
A|deactivate_user(user_id uuid, reason text?)|members
A|reactivate_user(user_id uuid)|members
A|preview_removal(user_id uuid)|removal_preview
A|remove_user(user_id uuid, transfer_to uuid?, reason text?, confirm boolean?)|removal
O|link_previous_account(old_user_id uuid, new_user_id uuid)|integer
A|update_profile(name text)|members
A|request_email_change(new_email text, password text)|void
A|confirm_email_change(token text)|void
A|create_workspace(slug text, name text, settings jsonb?)|workspaces
A|update_workspace(workspace_id uuid, name text?, slug text?, settings jsonb?)|workspaces
A|archive_workspace(workspace_id uuid)|workspaces
A|set_workspace_member(workspace_id uuid, user_id uuid, role text?)|workspace_members
A|remove_workspace_member(workspace_id uuid, user_id uuid)|void
A|workspace_health(workspace_id uuid)|integer
O|attach_table(target regclass, tenant_column name?, workspace_column name?, owner_column name?, audit boolean?, track_activity boolean?, isolate boolean?, on_removal text?, redact name[]?)|void
O|detach_table(target regclass)|void
A|record_activity(kind text?)|void
O|expose(schema name, for_role name)|integer
O|check()|SETOF finding
O|audit_seal()|integer
OU|audit_verify(tenant text?)|TABLE(seal_no bigint, event_id uuid, problem text)
O|audit_checkpoint()|text
OU|audit_verify_checkpoint(checkpoint text)|TABLE(seal_no bigint, event_id uuid, problem text)
AU|access_at(at timestamptz, tenant text?)|SETOF access_state
AU|access_history(user_id uuid)|SETOF access_period
AU|explain_access(user_id uuid, permission text)|SETOF access_explanation
OU|events_since(event_id uuid?, max_events integer?)|SETOF audit_trail
O|set_audit_sink(target regclass)|void
A|users_json()|jsonb
A|team_json()|jsonb
A|invitation_json(invitation_id uuid)|jsonb
R|outbox_claim(worker text, max_messages integer?)|SETOF outbox_message
R|outbox_sending(message_id uuid, fence bigint)|boolean
R|outbox_sent(message_id uuid, fence bigint, reply text)|boolean
R|outbox_failed(message_id uuid, fence bigint, permanent boolean, reply text)|boolean
R|outbox_bounced(message_id_header text, recipient text, status text, detail text)|boolean
R|outbox_next_due()|timestamptz
OR|run_maintenance()|jsonb
O|outbox_retry(message_id uuid)|void
O|outbox_cancel(message_id uuid)|void
O|outbox_pause(reason text)|void
O|outbox_resume()|void
A|set_email_template(kind text, locale text?, subject text?, text_body text?, html_body text?)|email_templates
A|preview_email(kind text, locale text?, subject text?, text_body text?, html_body text?)|email_preview
\.
CREATE FUNCTION pg_temp.plain(type text) RETURNS text LANGUAGE sql AS $$
	SELECT regexp_replace(replace(replace(type, 'usermgmt.', ''), 'timestamp with time zone', 'timestamptz'), ' DEFAULT NULL::[a-z ]+(\[\])?', '?', 'g')
$$;
CREATE TEMPORARY VIEW present AS
	SELECT oid, proname::text AS name, proname || '(' || pg_temp.plain(pg_get_function_arguments(oid)) || ')' AS declaration, pg_temp.plain(pg_get_function_result(oid)) AS result
	FROM pg_proc WHERE pronamespace = 'usermgmt'::regnamespace;
-- What was added follows what was promised, and may be left out.
CREATE FUNCTION pg_temp.keeps(declared text, promised text) RETURNS boolean LANGUAGE sql AS $$
	SELECT declared = promised OR starts_with(declared, rtrim(promised, ')') || ', ')
		AND substr(declared, length(promised)) ~ '^(, [a-z_]+ [a-z ]+(\[\])?\?)+\)$'
$$;
SELECT is((SELECT string_agg(p.declaration || ' ' || p.result, '; ') FROM present AS p WHERE p.name = split_part(c.declaration, '(', 1) AND NOT (pg_temp.keeps(p.declaration, c.declaration) AND p.result = c.result)), NULL,
	'the promised arguments and result: ' || c.declaration)
FROM contract AS c;
SELECT is((SELECT count(*) FROM present WHERE name = split_part(c.declaration, '(', 1)), 1::bigint, 'one function and no overload: ' || split_part(c.declaration, '(', 1)) FROM contract AS c;
SELECT is_empty($$SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'usermgmt'::regnamespace AND (prokind <> 'f' OR provariadic <> 0)$$, 'functions, never procedures; no VARIADIC');
SELECT is_empty($$SELECT declaration FROM present WHERE declaration ~ ' DEFAULT '$$, 'every optional argument is DEFAULT NULL');

-- Columns, in order; more may follow.
CREATE TEMPORARY TABLE shape (who text, name text, columns text);
COPY shape FROM stdin (DELIMITER '|');
|session_context|session_id,user_id,tenant_id,role,email,expires_at
|session_start|outcome,session_token,session_id,user_id,tenant_id,role,expires_at,detail
|invitation_preview|tenant_name,branding,email,role,inviter_name,status,expires_at,account_exists
|password_reset_preview|email,status,expires_at
|removal_preview|sessions,invitations,workspaces,resources,new_owner_id
|outbox_message|message_id,fence,kind,tenant_id,sender,recipient,subject,text_body,html_body,headers,message_id_header,attempt,expires_at
A|tenants|
A|invite_domains|
A|invitations|invitation_id,tenant_id,email,name,role,workspaces,status,message,invited_by,invited_by_email,created_at,first_sent_at,last_sent_at,send_count,expires_at,accepted_at,accepted_by,revoked_at,revoked_by,revoke_reason,delivery,delivery_detail,can_resend,can_revoke
A|pending_invitations|invitation_id,tenant_id,email,name,role,workspaces,status
A|my_sessions|
A|sessions|
A|members|user_id,tenant_id,email,name,role,is_primary_owner,status,activity,joined_at,last_login_at,last_seen_at,last_active,deactivated_at,deactivated_by,deactivation_reason,workspaces
A|people|
A|member_statistics|total,owners,admins,members,owners_and_admins,active,inactive,never_logged_in,deactivated,pending_invitations,licensed_now
AU|role_matrix|
A|workspaces|
A|workspace_members|
O|attached_tables|
AU|audit_trail|event_id,occurred_at,tenant_id,actor_user_id,actor_email,actor_db_role,session_id,ip,action,object_type,object_id,subject_email,old,new,reason,transaction_id
AU|report_invitation_funnel|tenant_id,tenant
AU|report_time_to_accept|tenant_id,tenant
AU|report_open_invitations|tenant_id,tenant
AU|report_inactive_members|tenant_id,tenant
AU|report_role_review|tenant_id,tenant
AU|report_license_use|tenant_id,tenant
AU|report_delivery|tenant_id,tenant
AU|report_bounces|tenant_id,tenant
AU|report_admin_activity|tenant_id,tenant
AU|report_leavers|tenant_id,tenant
O|mail_queue|
O|outbox_statistics|
O|server_statistics|
\.
SELECT ok(starts_with((SELECT string_agg(attname, ',' ORDER BY attnum) || ',' FROM pg_attribute WHERE attrelid = to_regclass('usermgmt.' || name) AND attnum > 0 AND NOT attisdropped),
	columns || CASE WHEN columns <> '' THEN ',' ELSE '' END), 'the promised columns: ' || name)
FROM shape;
SELECT is((SELECT array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attname) FROM pg_attribute AS a WHERE a.attrelid = 'usermgmt.invitations'::regclass AND a.attname IN ('invitation_id', 'email', 'send_count', 'expires_at', 'workspaces', 'can_resend')),
	'{boolean,text,timestamp with time zone,uuid,integer,jsonb}', 'flags are boolean, addresses text, times timestamptz, ids uuid, counts integer');
SELECT is_empty($$SELECT a.attrelid::regclass, a.attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind IN ('v', 'c') AND a.attnum > 0
	AND a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype, 'timestamp'::regtype, 'json'::regtype, 'inet'::regtype)$$, 'and no other type stands in for them');

-- Who may call and read what: exactly those.
CREATE ROLE tap_api_application;
CREATE ROLE tap_api_operator;
CREATE ROLE tap_api_relay;
CREATE ROLE tap_api_auditor;
CREATE ROLE tap_api_nobody;
SELECT count(usermgmt.grant_access(('tap_api_' || access)::name, access)) AS x FROM unnest('{application,operator,relay,auditor}'::text[]) AS access \gset
CREATE TEMPORARY TABLE holder AS
	SELECT 'tap_api_' || role AS role, letters FROM (VALUES ('application', 'A'), ('operator', 'AO'), ('relay', 'R'), ('auditor', 'U'), ('nobody', '')) AS h (role, letters);
SELECT is_empty($$SELECT p.name, h.role FROM contract AS c JOIN present AS p ON p.name = split_part(c.declaration, '(', 1), holder AS h
	WHERE has_function_privilege(h.role, p.oid, 'execute') <> (c.who ~ ('[' || h.letters || '-]'))$$, 'each function can be called by the accesses that it was promised to, and by no other');
SELECT is_empty($$SELECT s.name, h.role FROM shape AS s JOIN pg_class AS c ON c.oid = to_regclass('usermgmt.' || s.name) AND c.relkind = 'v', holder AS h
	WHERE has_table_privilege(h.role, c.oid, 'select') <> (s.who ~ ('[' || h.letters || '-]'))$$, 'each view can be read by those accesses, and by no other');
SELECT is_empty($$SELECT p.name FROM present AS p WHERE has_function_privilege('tap_api_nobody', p.oid, 'execute')$$, 'PUBLIC may call nothing');
SELECT is(pg_temp.run_as('tap_api_operator', $$SELECT usermgmt.grant_access('tap_api_nobody', 'auditor')$$), 'error 42501', 'an operator gives no access');
GRANT EXECUTE ON FUNCTION usermgmt.grant_access(name, text), usermgmt.revoke_access(name, text) TO tap_api_operator;
SELECT pg_temp.run_as('tap_api_operator', $$SELECT usermgmt.grant_access('tap_api_nobody', 'auditor')$$) AS granted \gset
SELECT is(pg_temp.run_as('tap_api_nobody', $$SELECT count(*) FROM usermgmt.report_leavers$$), '0', 'but one who was granted that does');
SELECT pg_temp.run_as('tap_api_operator', $$SELECT usermgmt.revoke_access('tap_api_nobody', 'auditor')$$) AS revoked \gset
SELECT is(pg_temp.run_as('tap_api_nobody', $$SELECT count(*) FROM usermgmt.report_leavers$$), 'error 42501', 'and takes it');

-- Settings of a tenant, as the server has them.
SELECT pg_temp.tenant('acme') AS acme_id \gset
SELECT results_eq($$SELECT s, usermgmt.tenant_setting(s) FROM unnest('{invitation_ttl,password_reset_ttl,session_ttl,session_idle_ttl,resend_cooldown,reminder_after,inactive_after,license_window,seat_limit,pending_limit,invitations_enabled,
	allow_owner_invitations,revoke_sessions_on_role_change,resend_keeps_old_links,license_tier,base_url,locale}'::text[]) AS s$$,
	$$VALUES ('invitation_ttl', '7 days'), ('password_reset_ttl', '01:00:00'), ('session_ttl', '08:00:00'), ('session_idle_ttl', '00:00:00'), ('resend_cooldown', '00:10:00'), ('reminder_after', '00:00:00'), ('inactive_after', '30 days'),
	('license_window', '1 day'), ('seat_limit', 'none'), ('pending_limit', 'none'), ('invitations_enabled', 'on'), ('allow_owner_invitations', 'off'), ('revoke_sessions_on_role_change', 'on'), ('resend_keeps_old_links', 'on'),
	('license_tier', 'none'), ('base_url', 'http://localhost:3000'), ('locale', 'en')$$, 'C1 C7 S3.36 S3.37 S3.38 settings of a tenant and their defaults');
SELECT is_empty($$SELECT s FROM unnest('{from_email,from_name}'::text[]) AS s WHERE usermgmt.tenant_setting(s) IS NULL$$, 'S1.15 the sender is one too');
SELECT is((SELECT string_agg(name, ' ' ORDER BY name) FROM unnest('{allow_sign_up,notify_events,log_events}'::text[]) AS s JOIN pg_settings ON name = 'usermgmt.' || s WHERE boot_val = 'off'), 'usermgmt.allow_sign_up usermgmt.log_events usermgmt.notify_events', 'what opens a door is off');
SELECT set_has($$SELECT kind FROM usermgmt.email_template WHERE locale = 'en' AND subject <> '' AND text_body <> '' AND html_body <> ''$$,
	$$SELECT unnest('{invitation,invitation_reminder,welcome,password_reset,password_changed,email_change,email_changed,role_changed,deactivated,reactivated,removed}'::text[])$$, 'S1.3 S2.26 every kind of mail has its text');

-- Non-goals stay out, and the four capabilities have entry points of their own.
SELECT is_empty($$SELECT name FROM present WHERE name ~ '(saml|sso|oidc|csv|import|impersonat|act_as|become|delete_(my_)?account|close_account|(^|_)set_password|custom_role|create_role|create_group)'$$,
	'S0.20 S2.27 S4.19 no function for SSO, SAML, CSV import, impersonation, self-serve account deletion, or setting somebody''s password');
SELECT is((SELECT string_agg(role, ' ' ORDER BY role) FROM usermgmt.role), 'admin member owner', 'S0.19 S0.20 and no finer roles');
SELECT is((SELECT count(*) FROM present WHERE name IN ('change_role', 'change_invitation_role', 'resend_invitation')), 3::bigint, 'S1.19 entry points to manage roles and to resend');
SELECT is_empty($$SELECT capability, name FROM (VALUES ('user-management', 'deactivate_user'), ('user-invitations', 'invite_user'), ('session-management', 'revoke_session'), ('activity-tracking', 'record_activity')) AS c (capability, name)
	WHERE NOT EXISTS (SELECT FROM present AS p WHERE p.name = c.name AND obj_description(p.oid, 'pg_proc') <> '')$$, 'S1.18 user management, invitations, sessions and activity each have their functions, described in the catalog');

-- The time an invitation takes: the median of many, far from the promise, so that a busy machine does not matter.
CREATE TEMPORARY TABLE lap (n integer, taken interval);
DO $$
DECLARE
	begun timestamptz;
BEGIN
	FOR n IN 1..21 LOOP
		begun := clock_timestamp();
		PERFORM usermgmt.invite_user(n || '@lap.test');
		INSERT INTO lap VALUES (n, clock_timestamp() - begun);
	END LOOP;
END $$;
SELECT cmp_ok((SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY taken) FROM lap), '<', interval '300 milliseconds', 'S2.14 an invitation is made in less than 300 ms');

SELECT * FROM finish();
ROLLBACK;
