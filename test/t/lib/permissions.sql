-- The world of the permission matrix: two tenants, everybody who could call, a
-- plausible call of every function, and what tries them. Each cell is undone.

SELECT format('CREATE ROLE %I LOGIN', r) FROM unnest(ARRAY['application', 'operator', 'relay', 'auditor']) AS r
	WHERE to_regrole(r) IS NULL \gexec
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO operator', current_database()); END $$;
SELECT usermgmt.grant_access(r, r) FROM unnest(ARRAY['application', 'operator', 'relay', 'auditor']) AS r;

CREATE SCHEMA probe;
GRANT USAGE ON SCHEMA probe TO PUBLIC;
CREATE TABLE probe.world (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE public.probe_lead (lead_id integer PRIMARY KEY, tenant_id uuid);
CREATE TABLE public.probe_deal (deal_id integer PRIMARY KEY, tenant_id uuid);
CREATE TABLE public.probe_sink (action text, object_id text);
SELECT usermgmt.attach_table('public.probe_deal', 'tenant_id');
ALTER TABLE public.probe_lead OWNER TO operator;
ALTER TABLE public.probe_deal OWNER TO operator;
ALTER TABLE public.probe_sink OWNER TO operator;
CREATE TABLE probe.actor (name text PRIMARY KEY, token text);
CREATE TABLE probe.mail OF usermgmt.outbox_message;
CREATE FUNCTION probe.of(name text) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT value FROM probe.world WHERE world.name = $1
$$;
CREATE FUNCTION probe.id(name text) RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT probe.of($1)::uuid $$;
CREATE FUNCTION probe.keep(name text, value text) RETURNS void LANGUAGE sql AS $$ INSERT INTO probe.world VALUES ($1, $2) $$;

-- The token in the newest such mail; claims what is due.
CREATE FUNCTION probe.mailed(mail_kind text, address text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO probe.mail SELECT * FROM usermgmt.outbox_claim('probe', 1000);
	RETURN (SELECT substring(text_body FROM 'token=([A-Za-z0-9_-]+)') FROM probe.mail
		WHERE kind = mail_kind AND recipient = address ORDER BY message_id DESC LIMIT 1);
END $$;

CREATE FUNCTION probe.join(who text, address text, role text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	joined usermgmt.session_start;
BEGIN
	SELECT s.* INTO joined FROM usermgmt.invite_user(address, role) AS i,
		usermgmt.accept_invitation(split_part(usermgmt.invitation_link(i.invitation_id), 'token=', 2), 'correct horse') AS s;
	PERFORM probe.keep(who, joined.user_id::text), probe.keep(who || '_session', joined.session_id::text),
		probe.keep(who || '_token', joined.session_token);
END $$;

-- A tenant with its owner, an admin, two members, a workspace, an archived one
-- and an open invitation; their names in world begin with the tenant's.
CREATE FUNCTION probe.tenant(t text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	owner usermgmt.session_start;
	address text := 'owner@' || t || '.example';
BEGIN
	PERFORM probe.keep(t, tenant_id::text) FROM usermgmt.create_tenant(t, initcap(t), address);
	PERFORM usermgmt.reset_password(probe.mailed('welcome', address), 'correct horse');
	owner := usermgmt.log_in(address, 'correct horse');
	PERFORM probe.keep(t || '_owner', owner.user_id::text), probe.keep(t || '_owner_token', owner.session_token);
	PERFORM usermgmt.use_tenant(t);
	PERFORM probe.keep(t || '_site', workspace_id::text) FROM usermgmt.create_workspace('site', 'Site');
	PERFORM probe.keep(t || '_old', workspace_id::text) FROM usermgmt.create_workspace('old', 'Old');
	PERFORM usermgmt.archive_workspace(probe.id(t || '_old'));
	PERFORM probe.join(t || '_ann', 'ann@' || t || '.example', 'admin');
	PERFORM probe.join(t || '_bob', 'bob@' || t || '.example', 'member');
	PERFORM probe.join(t || '_carl', 'carl@' || t || '.example', 'member');
	PERFORM usermgmt.set_workspace_member(probe.id(t || '_site'), probe.id(t || '_bob'));
	PERFORM probe.keep(t || '_ida', i.invitation_id::text),
			probe.keep(t || '_ida_token', split_part(usermgmt.invitation_link(i.invitation_id), 'token=', 2))
		FROM usermgmt.invite_user('ida@' || t || '.example') AS i;
	PERFORM usermgmt.allow_invite_domain(d) FROM unnest(ARRAY['acme.example', 'beta.example']) AS d;
END $$;
SELECT probe.tenant('beta');
SELECT usermgmt.create_workspace('lab', 'Lab'), usermgmt.allow_invite_domain('only.beta.example');
SELECT probe.tenant('acme');

-- One who was removed, one who is deactivated, links of every purpose, mails.
SELECT probe.join('acme_rex', 'rex@acme.example', 'member');
SELECT usermgmt.remove_user(probe.id('acme_rex'), confirm => true);
SELECT usermgmt.deactivate_user(probe.id('acme_carl'));
SELECT usermgmt.link_identity(probe.id('acme_bob'), 'sso', 'bob');
SELECT usermgmt.request_password_reset('bob@acme.example'), usermgmt.request_password_reset('carl@beta.example');
SELECT probe.keep('acme_bob_reset', probe.mailed('password_reset', 'bob@acme.example'));
DO $$
BEGIN
	IF to_regproc('usermgmt.request_email_change') IS NOT NULL THEN
		PERFORM usermgmt.use_session(probe.of('acme_bob_token'));
		EXECUTE $call$SELECT usermgmt.request_email_change('robert@acme.example', 'correct horse')$call$;
		PERFORM usermgmt.end_use();
		PERFORM probe.keep('acme_bob_email_change', coalesce(probe.mailed('email_change', 'robert@acme.example'), 'no mail'));
	END IF;
END $$;
SELECT probe.keep('acme_bob_public', usermgmt.public_id('user', probe.id('acme_bob')));
SELECT probe.keep('held', message_id::text), probe.keep('held_fence', fence::text)
	FROM probe.mail WHERE kind = 'invitation' AND recipient = 'ida@acme.example';
SELECT usermgmt.outbox_failed(message_id, fence, true, '550 no such user') FROM probe.mail WHERE recipient = 'rex@acme.example' AND kind = 'invitation';
SELECT usermgmt.outbox_failed(message_id, fence, true, '550 no such user') FROM probe.mail WHERE recipient = 'ida@beta.example' AND kind = 'invitation';
SELECT probe.keep('dead', message_id::text) FROM probe.mail WHERE recipient = 'ida@beta.example' AND kind = 'invitation';
SELECT probe.keep('sending', message_id::text), probe.keep('sending_fence', fence::text), usermgmt.outbox_sending(message_id, fence)
	FROM probe.mail WHERE kind = 'password_reset' AND recipient = 'bob@acme.example';
SELECT probe.keep('sent_header', message_id_header), usermgmt.outbox_sending(message_id, fence), usermgmt.outbox_sent(message_id, fence, '250 taken')
	FROM probe.mail WHERE kind = 'password_reset' AND recipient = 'carl@beta.example';
SELECT usermgmt.resend_invitation(probe.id('acme_ida'))
	FROM usermgmt.set_tenant_setting('resend_cooldown', '0');
SELECT probe.keep('queued', message_id::text) FROM usermgmt.outbox WHERE state = 'queued' AND subject_id = probe.id('acme_ida');
SELECT usermgmt.reset_tenant_setting('resend_cooldown');
UPDATE usermgmt.invitation SET queued_at = queued_at - INTERVAL '1 day';
INSERT INTO usermgmt.address_suppression VALUES ('bounced@acme.example', '5.1.1', now());
SELECT probe.keep('checkpoint', usermgmt.audit_checkpoint());

DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET usermgmt.allow_sign_up = on', current_database()); END $$;
INSERT INTO probe.actor VALUES ('no session', NULL), ('member', probe.of('acme_bob_token')), ('admin', probe.of('acme_ann_token')),
	('owner', probe.of('acme_owner_token')), ('other owner', probe.of('beta_owner_token')), ('operator', NULL), ('relay', NULL), ('auditor', NULL);

-- How each function is called about an object of acme: its arguments in order.
CREATE TABLE probe.call (function name PRIMARY KEY, arguments text[] NOT NULL);
INSERT INTO probe.call VALUES
	('accept_invitation', ARRAY['probe.of(''acme_ida_token'')', '''seven quiet lanterns''']),
	('activate', '{}'),
	('acts_without_session', '{}'),
	('allow_invite_domain', ARRAY['''acme.example''']),
	('archive_workspace', ARRAY['probe.id(''acme_site'')']),
	('change_invitation_role', ARRAY['probe.id(''acme_ida'')', '''admin''']),
	('change_invitation_workspaces', ARRAY['probe.id(''acme_ida'')', '''["site"]''']),
	('change_password', ARRAY['''correct horse''', '''seven quiet lanterns''']),
	('change_role', ARRAY['probe.id(''acme_bob'')', '''admin''']),
	('confirm_email_change', ARRAY['probe.of(''acme_bob_email_change'')']),
	('create_tenant', ARRAY['''gamma''', '''Gamma''', '''owner@gamma.example''']),
	('create_workspace', ARRAY['''shop''', '''Shop''']),
	('current_member_role', '{}'),
	('current_session_id', '{}'),
	('current_tenant_id', '{}'),
	('current_user_id', '{}'),
	('deactivate_user', ARRAY['probe.id(''acme_bob'')']),
	('decline_invitation', ARRAY['probe.of(''acme_ida_token'')']),
	('delivery_of', ARRAY['NULL']),
	('disallow_invite_domain', ARRAY['''acme.example''']),
	('effective_limit', ARRAY['''{}''', '''seat_limit''']),
	('effective_seconds', ARRAY['''{}''', '''session_ttl''']),
	('effective_switch', ARRAY['''{}''', '''invitations_enabled''']),
	('end_use', '{}'),
	('events_since', '{}'),
	('hash_queue', '{}'),
	('has_permission', ARRAY['''manage_users''']),
	('has_role', ARRAY['''member''']),
	('has_workspace_role', ARRAY['probe.id(''acme_site'')', '''viewer''']),
	('id', ARRAY['probe.of(''acme_bob_public'')']),
	('invitation_json', ARRAY['probe.id(''acme_ida'')']),
	('invitation_link', ARRAY['probe.id(''acme_ida'')']),
	('invite_user', ARRAY['''new@acme.example''']),
	('invite_users', ARRAY['ARRAY[''new@acme.example'']']),
	('link_identity', ARRAY['probe.id(''acme_bob'')', '''sso''', '''other''']),
	('link_previous_account', ARRAY['probe.id(''acme_rex'')', 'probe.id(''acme_bob'')']),
	('log_in', ARRAY['''bob@acme.example''', '''correct horse''']),
	('log_out', '{}'),
	('member_list_tenant', '{}'),
	('outbox_bounced', ARRAY['probe.of(''sent_header'')', '''carl@beta.example''', '''5.1.1''', '''no such user''']),
	('outbox_cancel', ARRAY['probe.id(''queued'')']),
	('outbox_claim', ARRAY['''worker''']),
	('outbox_failed', ARRAY['probe.id(''held'')', 'probe.of(''held_fence'')::bigint', 'false', '''421 later''']),
	('outbox_next_due', '{}'),
	('outbox_pause', ARRAY['''a test''']),
	('outbox_resume', '{}'),
	('outbox_retry', ARRAY['probe.id(''dead'')']),
	('outbox_sending', ARRAY['probe.id(''held'')', 'probe.of(''held_fence'')::bigint']),
	('outbox_sent', ARRAY['probe.id(''sending'')', 'probe.of(''sending_fence'')::bigint', '''250 taken''']),
	('preview_email_change', ARRAY['probe.of(''acme_bob_email_change'')']),
	('preview_invitation', ARRAY['probe.of(''acme_ida_token'')']),
	('preview_password_reset', ARRAY['probe.of(''acme_bob_reset'')']),
	('preview_removal', ARRAY['probe.id(''acme_bob'')']),
	('public_id', ARRAY['''user''', 'probe.id(''acme_bob'')']),
	('reactivate_user', ARRAY['probe.id(''acme_carl'')']),
	('relative_time', ARRAY['now()']),
	('remove_user', ARRAY['probe.id(''acme_bob'')', 'probe.id(''acme_ann'')', '''left''', 'true']),
	('remove_workspace_member', ARRAY['probe.id(''acme_site'')', 'probe.id(''acme_bob'')']),
	('request_email_change', ARRAY['''new@acme.example''', '''correct horse''']),
	('request_password_reset', ARRAY['''ann@acme.example''']),
	('resend_invitation', ARRAY['probe.id(''acme_ida'')']),
	('reset_password', ARRAY['probe.of(''acme_bob_reset'')', '''seven quiet lanterns''']),
	('reset_tenant_setting', ARRAY['''session_ttl''']),
	('restore_workspace', ARRAY['probe.id(''acme_old'')']),
	('resume_tenant', '{}'),
	('revoke_invitation', ARRAY['probe.id(''acme_ida'')']),
	('revoke_session', ARRAY['probe.id(''acme_bob_session'')']),
	('revoke_user_sessions', ARRAY['probe.id(''acme_bob'')']),
	('rotate_session', '{}'),
	('run_maintenance', '{}'),
	('seat_is_free', '{}'),
	('send_password_reset', ARRAY['probe.id(''acme_ann'')']),
	('set_metadata', ARRAY['''membership''', 'probe.id(''acme_bob'')', '''{"desk": 7}''']),
	('set_tenant_setting', ARRAY['''session_ttl''', '''1 hour''']),
	('set_workspace_member', ARRAY['probe.id(''acme_site'')', 'probe.id(''acme_ann'')', '''viewer''']),
	('sign_up', ARRAY['''gamma''', '''Gamma''', '''owner@gamma.example''', '''seven quiet lanterns''']),
	('start_session', ARRAY['probe.id(''acme_bob'')']),
	('suspend_tenant', ARRAY['''unpaid''']),
	('switch_tenant', ARRAY['''acme''']),
	('team_json', '{}'),
	('tenant_as', ARRAY['''member''']),
	('tenant_setting', ARRAY['''session_ttl''']),
	('transfer_ownership', ARRAY['probe.id(''acme_ann'')']),
	('unlink_identity', ARRAY['probe.id(''acme_bob'')', '''sso''', '''bob''']),
	('update_profile', ARRAY['''Somebody''']),
	('update_tenant', ARRAY['''Acme Ltd''']),
	('update_workspace', ARRAY['probe.id(''acme_site'')', '''Sites''']),
	('use_session', ARRAY['probe.of(''acme_ann_token'')']),
	('use_tenant', ARRAY['''acme''']),
	('user_by_identity', ARRAY['''sso''', '''bob''']),
	('users_json', '{}'),
	('workspace_facts', ARRAY['probe.id(''acme_site'')']),
	('workspace_health', ARRAY['probe.id(''acme_site'')']),
	('check', '{}'),
	('attach_table', ARRAY['''public.probe_lead''', '''tenant_id''']),
	('detach_table', ARRAY['''public.probe_deal''']),
	('attachment', ARRAY['''public.probe_deal''::regclass']),
	('workspaces_as', ARRAY['''viewer''']),
	('record_activity', ARRAY['''export''']),
	('set_audit_sink', ARRAY['''public.probe_sink''']),
	('audit_seal', '{}'),
	('audit_checkpoint', '{}'),
	('audit_verify', '{}'),
	('audit_verify_checkpoint', ARRAY['probe.of(''checkpoint'')']),
	('audit_retire', ARRAY['''2000-01-01''']),
	('erase_person', ARRAY['probe.id(''acme_rex'')']),
	('set_email_template', ARRAY['''invitation''', '''en''', '''Join us''']),
	('reset_email_template', ARRAY['''invitation''', '''en''']),
	('preview_email', ARRAY['''invitation''', '''en''']),
	('unsuppress_address', ARRAY['''bounced@acme.example''']),
	('outbox_figures', '{}'),
	('server_figures', '{}'),
	('access_history', ARRAY['probe.id(''acme_bob'')']),
	('access_at', ARRAY['clock_timestamp()']),
	('id_at', ARRAY['''2026-01-01''']),
	('explain_access', ARRAY['probe.id(''acme_bob'')', '''manage_users''']),
	('facade_statements', ARRAY['''probe_facade''', '''application''']),
	('expose', ARRAY['''probe_facade''', '''application''']);

-- Every function that somebody may call.
CREATE VIEW probe.public_function AS
	SELECT p.oid, p.proname AS name, p.proargtypes::oid[] AS types, p.proargnames AS names, p.prorettype AS type, p.provolatile = 'i' AS is_immutable
	FROM pg_proc AS p WHERE p.pronamespace = 'usermgmt'::regnamespace
		AND p.proname IN (SELECT object_name FROM usermgmt.access_privilege WHERE object_kind = 'function');
CREATE VIEW probe.public_relation AS
	SELECT c.oid, c.relname AS name, c.relkind, EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id') AS has_tenant
	FROM pg_class AS c WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind IN ('r', 'v')
		AND c.relname IN (SELECT object_name FROM usermgmt.access_privilege WHERE object_kind = 'relation');

-- A digest of every row of the extension.
CREATE FUNCTION probe.contents() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
	t regclass;
	digest text;
	all_tables text := '';
BEGIN
	FOR t IN SELECT oid FROM pg_class WHERE relnamespace = 'usermgmt'::regnamespace AND relkind = 'r' ORDER BY oid LOOP
		EXECUTE format('SELECT concat(%L, count(*), md5(string_agg(r::text, '';'' ORDER BY r::text))) FROM %s AS r', t || ' ', t) INTO digest;
		all_tables := all_tables || digest;
	END LOOP;
	RETURN all_tables;
END $$;

-- What a call of the caller's gives, as that actor, and it is undone: 'ok' (or
-- the outcome) or the SQLSTATE, message, detail and hint, the result, and
-- whether any row was written (asked for with watch).
CREATE TYPE probe.answer AS (state text, message text, detail text, hint text, result text, wrote boolean);
CREATE FUNCTION probe.attempt(who text, statement text, watch boolean DEFAULT false) RETURNS probe.answer LANGUAGE plpgsql AS $$
DECLARE
	a probe.answer;
	session text := (SELECT token FROM probe.actor WHERE name = who);
	before text;
BEGIN
	IF session IS NOT NULL THEN
		PERFORM usermgmt.use_session(session);
	END IF;
	IF watch THEN
		before := probe.contents();
	END IF;
	EXECUTE statement INTO a.result;
	a.wrote := watch AND before <> probe.contents();
	RAISE SQLSTATE 'XX999';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS a.state = RETURNED_SQLSTATE, a.message = MESSAGE_TEXT, a.detail = PG_EXCEPTION_DETAIL, a.hint = PG_EXCEPTION_HINT;
	IF a.state = 'XX999' THEN
		a.state := 'ok';
	END IF;
	RETURN a;
END $$;

CREATE FUNCTION probe.statement(function name, arguments text[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT format('SELECT string_agg(r::text, %L) FROM usermgmt.%I(%s) AS r', E'\n', $1, array_to_string($2, ', '))
$$;

-- The cells of one actor: functions, then relations. An answer that says who may
-- do what is the cell, as is one that says nothing, or that refuses.
CREATE FUNCTION probe.function_cells(who text) RETURNS TABLE (name name, cell text) LANGUAGE sql AS $$
	SELECT f.name, CASE WHEN a.state <> 'ok' THEN a.state
			WHEN f.type = 'void'::regtype THEN 'ok'
			WHEN f.type = 'boolean'::regtype THEN coalesce(a.result, 'nothing')
			WHEN coalesce(a.result, '') ~ '^[(,)]*$' THEN 'nothing'
			ELSE coalesce(substring(a.result FROM '^\((invalid_credentials|try_later|busy|choose_tenant|deactivated),'), 'ok') END
	FROM probe.public_function AS f JOIN probe.call AS c ON c.function = f.name, LATERAL probe.attempt(who, probe.statement(f.name, c.arguments)) AS a
	ORDER BY f.name
$$;
-- Rows of acme / rows of beta; all rows where a row belongs to no tenant; what
-- grows with every act is not counted exactly.
CREATE FUNCTION probe.relation_cells(who text) RETURNS TABLE (name name, cell text) LANGUAGE sql AS $$
	SELECT v.name, coalesce(a.result, a.state)
	FROM probe.public_relation AS v, LATERAL probe.attempt(who, format(CASE WHEN v.has_tenant
			THEN 'SELECT concat_ws('' / '', %2$s(count(*) FILTER (WHERE tenant_id = probe.id(''acme''))), %2$s(count(*) FILTER (WHERE tenant_id = probe.id(''beta'')))) FROM usermgmt.%1$I'
			ELSE 'SELECT %2$s(count(*)) FROM usermgmt.%1$I' END,
		v.name, CASE WHEN v.name ~ '^(audit_|outbox|mail_queue|session|password_reset|login_throttle|email_template|access_privilege|role_permission|permission|role_matrix|inventory|member_count|invitation_count|report_|membership_history)' THEN 'probe.some' ELSE '' END)) AS a
	ORDER BY v.name
$$;
CREATE FUNCTION probe.some(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT CASE n WHEN 0 THEN '0' ELSE 'some' END $$;

-- Ids that the actors of acme must not know, for an argument of that name.
CREATE FUNCTION probe.foreign_ids(argument text) RETURNS text[] LANGUAGE sql STABLE AS $$
	SELECT CASE
		WHEN argument ~ 'user|owner|transfer' THEN ARRAY[probe.of('beta_bob'), probe.of('beta_carl'), probe.of('beta_owner')]
		WHEN argument ~ 'invitation' THEN ARRAY[probe.of('beta_ida')]
		WHEN argument ~ 'workspace' THEN ARRAY[probe.of('beta_site'), probe.of('beta_old')]
		WHEN argument ~ 'session' THEN ARRAY[probe.of('beta_bob_session')]
		WHEN argument = 'id' THEN ARRAY[probe.of('beta_bob'), probe.of('beta_site'), probe.of('beta')]
		ELSE ARRAY[probe.of('beta_bob'), probe.of('beta_site'), probe.of('beta'), 'beta'] END
		|| '00000000-0000-0000-0000-000000000000'::text
$$;
-- Every place of an id in a call that the caller may make: each uuid, and where
-- an id stands in another type. %1$L stands for the id.
CREATE FUNCTION probe.id_calls() RETURNS TABLE (place text, argument text, statement text) LANGUAGE sql STABLE AS $$
	SELECT format('%s(%s)', f.name, f.names[n]), f.names[n], probe.statement(f.name, c.arguments[:n - 1] || '%1$L::uuid'::text || c.arguments[n + 1:])
	FROM probe.public_function AS f JOIN probe.call AS c ON c.function = f.name, generate_subscripts(c.arguments, 1) AS n
	WHERE f.types[n - 1] = 'uuid'::regtype AND NOT f.is_immutable AND has_function_privilege(f.oid, 'execute')
	UNION ALL
	SELECT format('%s(%s)', v.function, v.argument), v.argument, probe.statement(v.function, v.arguments)
	FROM (VALUES ('invite_user', 'workspaces', ARRAY['''new@acme.example''', '''member''', 'jsonb_build_array(%1$L)']),
		('invite_users', 'workspaces', ARRAY['ARRAY[''new@acme.example'']', '''member''', 'jsonb_build_object(%1$L, ''viewer'')']),
		('change_invitation_workspaces', 'workspaces', ARRAY['probe.id(''acme_ida'')', 'jsonb_build_array(%1$L)']),
		('switch_tenant', 'tenant', ARRAY['%1$L']), ('log_in', 'tenant', ARRAY['''bob@acme.example''', '''correct horse''', '%1$L'])) AS v (function, argument, arguments)
$$;
-- One row for each id in each place: what differs from the answer to an id of
-- nobody, or was written.
CREATE FUNCTION probe.id_cells(who text) RETURNS TABLE (cell text, difference text) LANGUAGE plpgsql AS $$
DECLARE
	c record;
	id text;
	nobody text := gen_random_uuid();
	expected probe.answer;
	got probe.answer;
BEGIN
	FOR c IN SELECT * FROM probe.id_calls() ORDER BY place LOOP
		expected := probe.attempt(who, format(c.statement, nobody), true);
		FOREACH id IN ARRAY probe.foreign_ids(c.argument) LOOP
			got := probe.attempt(who, format(c.statement, id), true);
			cell := format('%s as %s', c.place, who);
			difference := CASE WHEN replace(got::text, id, '?') <> replace(expected::text, nobody, '?') THEN format('%s, but %s for the id of nobody', got, expected)
				WHEN got.wrote THEN 'writes' END;
			RETURN NEXT;
		END LOOP;
	END LOOP;
END $$;

-- What a name that is taken in beta is answered, and one that nobody has: ids,
-- times and the name itself apart.
CREATE TABLE probe.twin (call text, taken text[], free text);
INSERT INTO probe.twin
	SELECT call, ARRAY['bob@beta.example', 'carl@beta.example', 'owner@beta.example', 'ida@beta.example'], 'gone@beta.example'
	FROM unnest(ARRAY['invite_user(%L)', 'invite_users(ARRAY[%L])', 'log_in(%L, ''a wrong password'')', 'log_in(%L, ''a wrong password'', ''acme'')', 'request_password_reset(%L)']) AS call
	UNION ALL VALUES ('create_workspace(%L, ''Name'')', ARRAY['lab'], 'bal'), ('update_workspace(probe.id(''acme_site''), slug => %L)', ARRAY['lab'], 'bal'), ('invite_user(''new@acme.example'', workspaces => jsonb_build_array(%L))', ARRAY['lab'], 'bal'),
		('allow_invite_domain(%L)', ARRAY['only.beta.example'], 'free.beta.example'), ('disallow_invite_domain(%L)', ARRAY['only.beta.example'], 'free.beta.example'), ('log_in(''bob@acme.example'', ''correct horse'', %L)', ARRAY['beta'], 'atbe'), ('switch_tenant(%L)', ARRAY['beta'], 'atbe');
CREATE FUNCTION probe.general(answer probe.answer, name text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT regexp_replace(regexp_replace(replace(answer::text, name, '?'), '[0-9a-f]{8}-[0-9a-f-]{27}', 'id', 'g'), '\d{4}-\d\d-\d\d [0-9:.+]+', 'time', 'g')
$$;
CREATE FUNCTION probe.twin_cells(who text) RETURNS TABLE (cell text, difference text) LANGUAGE plpgsql AS $$
DECLARE
	t record;
	name text;
	expected text;
	got text;
BEGIN
	FOR t IN SELECT *, format('SELECT string_agg(r::text, '';'') FROM usermgmt.%s AS r', call) AS statement FROM probe.twin LOOP
		expected := probe.general(probe.attempt(who, format(t.statement, t.free)), t.free);
		FOREACH name IN ARRAY t.taken LOOP
			got := probe.general(probe.attempt(who, format(t.statement, name)), name);
			cell := format('%s as %s', format(t.call, name), who);
			difference := CASE WHEN got <> expected THEN format('%s, but %s for a name that nobody has', got, expected) END;
			RETURN NEXT;
		END LOOP;
	END LOOP;
END $$;

-- What a cheap function in a query is shown of the rows that a view hides; one
-- says that it is STABLE, so that the planner moves it about.
CREATE SEQUENCE probe.shown;
GRANT USAGE ON SEQUENCE probe.shown TO PUBLIC;
CREATE FUNCTION probe.spy(value text) RETURNS boolean LANGUAGE plpgsql STABLE COST 0.0001 AS $$
BEGIN
	PERFORM nextval('probe.shown');
	RETURN true;
END $$;
CREATE FUNCTION probe.blurt(value text) RETURNS boolean LANGUAGE plpgsql VOLATILE COST 0.0001 AS $$
BEGIN
	PERFORM nextval('probe.shown');
	RETURN true;
END $$;
CREATE FUNCTION probe.leak_cells(who text) RETURNS TABLE (cell text, seen bigint, shown bigint) LANGUAGE plpgsql AS $$
DECLARE
	c record;
	answer probe.answer;
	before bigint;
BEGIN
	FOR c IN SELECT v.name, a.attname, spy FROM probe.public_relation AS v JOIN pg_attribute AS a ON a.attrelid = v.oid AND a.attnum > 0, unnest(ARRAY['spy', 'blurt']) AS spy
		WHERE v.relkind = 'v' AND has_table_privilege(v.oid, 'select') ORDER BY v.name, a.attnum, spy LOOP
		before := nextval('probe.shown');
		answer := probe.attempt(who, format('SELECT count(*) FROM usermgmt.%I WHERE probe.%I(%I::text)', c.name, c.spy, c.attname));
		cell := format('%s.%s as %s, %s%s', c.name, c.attname, who, c.spy, CASE WHEN answer.state <> 'ok' THEN ': ' || answer.state ELSE '' END);
		seen := coalesce(answer.result::bigint, -1);
		shown := nextval('probe.shown') - before - 1;
		RETURN NEXT;
	END LOOP;
END $$;
GRANT SELECT ON ALL TABLES IN SCHEMA probe TO PUBLIC;
