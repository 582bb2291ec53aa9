-- Everybody does anything, at random: soak.act(operation) picks whom and what it
-- is done to, and by whom. Tokens and links that came out are kept for later.
CREATE SCHEMA soak;
CREATE TABLE soak.token (tenant_id uuid, user_id uuid, token text);
CREATE TABLE soak.link (kind text, recipient text, token text, at timestamptz DEFAULT clock_timestamp());
CREATE TABLE soak.deal (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant uuid NOT NULL, owner uuid, name text, secret text);
CREATE TABLE soak.visit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant uuid NOT NULL, owner uuid);
CREATE TABLE soak.lost (id integer);

CREATE FUNCTION soak.pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE
	AS 'SELECT choices[1 + floor(random() * array_length(choices, 1))::integer]';
CREATE FUNCTION soak.home() RETURNS uuid LANGUAGE sql VOLATILE
	AS 'SELECT tenant_id FROM (SELECT tenant_id FROM usermgmt.tenant ORDER BY created_at LIMIT CASE WHEN random() < 0.1 THEN 20 ELSE 3 END) AS t ORDER BY random() LIMIT 1';
CREATE FUNCTION soak.person(home uuid) RETURNS uuid LANGUAGE sql VOLATILE
	AS 'SELECT user_id FROM usermgmt.membership WHERE tenant_id = home OR random() < 0.02 ORDER BY random() LIMIT 1';
CREATE FUNCTION soak.mailbox(home uuid) RETURNS text LANGUAGE sql VOLATILE
	AS 'SELECT CASE WHEN random() < 0.5 THEN (SELECT email FROM usermgmt.account WHERE user_id = (SELECT soak.person(home)))
		ELSE ''p'' || floor(random() * 60)::integer || ''@soak.example'' END';
CREATE FUNCTION soak.workspace(home uuid) RETURNS uuid LANGUAGE sql VOLATILE
	AS 'SELECT workspace_id FROM usermgmt.workspace WHERE tenant_id = home ORDER BY random() LIMIT 1';
CREATE FUNCTION soak.invitation(home uuid) RETURNS uuid LANGUAGE sql VOLATILE
	AS 'SELECT invitation_id FROM usermgmt.invitation WHERE tenant_id = home ORDER BY state = ''pending'' DESC, random() LIMIT 1';
CREATE FUNCTION soak.link(wanted text) RETURNS text LANGUAGE sql VOLATILE
	AS 'SELECT coalesce((SELECT token FROM (SELECT * FROM soak.link WHERE kind = wanted ORDER BY at DESC LIMIT 8) AS l ORDER BY random() LIMIT 1), ''none'')';

-- A relay: takes what is due, keeps its links, and says how it went.
CREATE FUNCTION soak.relay(worker text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	m record;
	dice double precision;
BEGIN
	FOR m IN SELECT * FROM usermgmt.outbox_claim(worker, 20) LOOP
		INSERT INTO soak.link (kind, recipient, token) SELECT m.kind, m.recipient, t[1] FROM regexp_matches(m.text_body, 'token=([A-Za-z0-9_-]+)') AS t;
		dice := random();
		CONTINUE WHEN dice < 0.05 OR NOT usermgmt.outbox_sending(m.message_id, m.fence);
		IF dice < 0.8 THEN
			PERFORM usermgmt.outbox_sent(m.message_id, m.fence, '250 ok');
		ELSIF dice < 0.82 THEN
			PERFORM usermgmt.outbox_sent(m.message_id, m.fence, '250 ok'),
				usermgmt.outbox_bounced(m.message_id_header, m.recipient, '5.1.1', 'nobody');
		ELSE
			PERFORM usermgmt.outbox_failed(m.message_id, m.fence, dice > 0.95, '4xx');
		END IF;
	END LOOP;
END $$;

-- An actor: an operator, a session of the tenant, or nobody.
CREATE FUNCTION soak.become(home uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	kept text := (SELECT t.token FROM soak.token AS t WHERE t.tenant_id = home ORDER BY random() LIMIT 1);
BEGIN
	PERFORM usermgmt.end_use();
	IF kept IS NULL OR random() < 0.3 THEN
		PERFORM usermgmt.use_tenant(home::text);
	ELSE
		BEGIN
			PERFORM usermgmt.use_session(kept);
		EXCEPTION WHEN SQLSTATE 'UM001' THEN
			DELETE FROM soak.token WHERE token = kept;
			PERFORM usermgmt.use_tenant(home::text);
		END;
	END IF;
END $$;

CREATE FUNCTION soak.come_in(home uuid, statement text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	s usermgmt.session_start;
BEGIN
	EXECUTE statement INTO s;
	IF s.session_token IS NOT NULL THEN
		INSERT INTO soak.token VALUES (s.tenant_id, s.user_id, s.session_token);
	END IF;
END $$;

CREATE FUNCTION soak.act(operation text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	home uuid := soak.home();
	a uuid := soak.person(home);
	b uuid := soak.person(home);
	w uuid := soak.workspace(home);
	i uuid := soak.invitation(home);
	mail text := soak.mailbox(home);
	role text := soak.pick('owner', 'admin', 'admin', 'member', 'member', 'member');
	n text := floor(random() * 1e9)::bigint::text;
	s text;
BEGIN
	IF operation NOT LIKE 'bare %' THEN
		PERFORM soak.become(home);
	END IF;
	CASE operation
	WHEN 'invite_user' THEN s := format('SELECT FROM usermgmt.invite_user(%L, %L, %L)', mail, nullif(role, 'owner'), CASE WHEN w IS NOT NULL THEN jsonb_build_object(w::text, 'member') ELSE '{}' END);
	WHEN 'invite_users' THEN s := format('SELECT FROM usermgmt.invite_users(ARRAY[%L, %L])', mail, soak.mailbox(home));
	WHEN 'resend_invitation' THEN s := format('SELECT FROM usermgmt.resend_invitation(%L, %L)', i, random() < 0.5);
	WHEN 'revoke_invitation' THEN s := format('SELECT FROM usermgmt.revoke_invitation(%L)', i);
	WHEN 'change_invitation_role' THEN s := format('SELECT FROM usermgmt.change_invitation_role(%L, %L)', i, role);
	WHEN 'change_invitation_workspaces' THEN s := format('SELECT FROM usermgmt.change_invitation_workspaces(%L, %L)', i, coalesce(jsonb_build_array(w), '[]'));
	WHEN 'accept_invitation' THEN PERFORM soak.come_in(home, format('SELECT * FROM usermgmt.accept_invitation(%L, ''correct horse'')', soak.link(soak.pick('invitation', 'invitation_reminder'))));
	WHEN 'decline_invitation' THEN s := format('SELECT FROM usermgmt.decline_invitation(%L)', soak.link('invitation'));
	WHEN 'log_in' THEN PERFORM soak.come_in(home, format('SELECT * FROM usermgmt.log_in(%L, %L, %L)', mail, soak.pick('correct horse', 'correct horse', 'wrong horse'), home));
	WHEN 'start_session' THEN PERFORM soak.come_in(home, format('SELECT * FROM usermgmt.start_session(%L)', a));
	WHEN 'switch_tenant' THEN PERFORM soak.come_in(home, format('SELECT * FROM usermgmt.switch_tenant(%L)', soak.home()));
	WHEN 'rotate_session' THEN PERFORM soak.come_in(home, 'SELECT * FROM usermgmt.rotate_session()');
	WHEN 'sign_up' THEN PERFORM soak.come_in(home, format('SELECT * FROM usermgmt.sign_up(%L, ''Tenant'', %L, ''correct horse'')', 't' || n, 'founder' || n || '@soak.example'));
	WHEN 'create_tenant' THEN s := format('SELECT FROM usermgmt.create_tenant(%L, ''Tenant'', %L)', 'c' || n, mail);
	WHEN 'log_out' THEN s := 'SELECT FROM usermgmt.log_out()';
	WHEN 'revoke_session' THEN s := format('SELECT FROM usermgmt.revoke_session(%L)', (SELECT session_id FROM usermgmt.session WHERE tenant_id = home ORDER BY random() LIMIT 1));
	WHEN 'revoke_user_sessions' THEN s := format('SELECT FROM usermgmt.revoke_user_sessions(%L)', a);
	WHEN 'request_password_reset' THEN s := format('SELECT FROM usermgmt.request_password_reset(%L)', mail);
	WHEN 'send_password_reset' THEN s := format('SELECT FROM usermgmt.send_password_reset(%L)', a);
	WHEN 'reset_password' THEN s := format('SELECT FROM usermgmt.reset_password(%L, ''correct horse'')', soak.link(soak.pick('password_reset', 'welcome')));
	WHEN 'change_password' THEN s := 'SELECT FROM usermgmt.change_password(''correct horse'', ''correct horse'')';
	WHEN 'request_email_change' THEN s := format('SELECT FROM usermgmt.request_email_change(%L, ''correct horse'')', 'p' || floor(60 + random() * 300)::integer || '@soak.example');
	WHEN 'confirm_email_change' THEN
		-- By the person who asked, if there is a session.
		PERFORM usermgmt.use_session((SELECT t.token FROM soak.token AS t JOIN usermgmt.email_change AS c USING (user_id)
			WHERE c.state = 'open' ORDER BY random() LIMIT 1));
		s := format('SELECT FROM usermgmt.confirm_email_change(%L)', soak.link('email_change'));
	WHEN 'change_role' THEN s := format('SELECT FROM usermgmt.change_role(%L, %L)', a, role);
	WHEN 'transfer_ownership' THEN s := format('SELECT FROM usermgmt.transfer_ownership(%L)', a);
	WHEN 'deactivate_user' THEN s := format('SELECT FROM usermgmt.deactivate_user(%L)', a);
	WHEN 'reactivate_user' THEN s := format('SELECT FROM usermgmt.reactivate_user(%L)', (SELECT user_id FROM usermgmt.membership WHERE tenant_id = home ORDER BY status = 'deactivated' DESC, random() LIMIT 1));
	WHEN 'preview_removal' THEN s := format('SELECT FROM usermgmt.preview_removal(%L)', a);
	WHEN 'remove_user' THEN s := format('SELECT FROM usermgmt.remove_user(%L, confirm => %L)', a, random() < 0.9);
	WHEN 'remove_user to' THEN s := format('SELECT FROM usermgmt.remove_user(%L, transfer_to => %L, confirm => true)', a, b);
	WHEN 'link_previous_account' THEN s := format('SELECT FROM usermgmt.link_previous_account(%L, %L)', (SELECT user_id FROM usermgmt.account WHERE closed_at IS NOT NULL ORDER BY random() LIMIT 1), a);
	WHEN 'erase_person' THEN s := format('SELECT FROM usermgmt.erase_person(%L)', (SELECT user_id FROM usermgmt.account WHERE closed_at IS NOT NULL ORDER BY random() LIMIT 1));
	WHEN 'update_profile' THEN s := format('SELECT FROM usermgmt.update_profile(%L, %L)', 'Name ' || n, soak.pick('en', 'de'));
	WHEN 'set_metadata' THEN s := format('SELECT FROM usermgmt.set_metadata(%L, %L, ''{"n": 1}'')', v.kind, v.id) FROM (VALUES ('tenant', home), ('workspace', w), ('account', a), ('membership', a)) AS v (kind, id) ORDER BY random() LIMIT 1;
	WHEN 'link_identity' THEN s := format('SELECT FROM usermgmt.link_identity(%L, ''sso'', %L)', a, n);
	WHEN 'update_tenant' THEN s := format('SELECT FROM usermgmt.update_tenant(slug => %L)', 's' || n);
	WHEN 'update_tenant name' THEN s := format('SELECT FROM usermgmt.update_tenant(name => %L)', 'Tenant ' || n);
	WHEN 'set_tenant_setting' THEN s := format('SELECT FROM usermgmt.set_tenant_setting(%L, %L)', v.name, v.value) FROM (VALUES ('seat_limit', '30'), ('seat_limit', '8'), ('pending_limit', '20'), ('reminder_after', '1s'), ('revoke_sessions_on_role_change', 'off')) AS v (name, value) ORDER BY random() LIMIT 1;
	WHEN 'reset_tenant_setting' THEN s := format('SELECT FROM usermgmt.reset_tenant_setting(%L)', soak.pick('seat_limit', 'pending_limit', 'revoke_sessions_on_role_change'));
	WHEN 'suspend_tenant' THEN s := 'SELECT FROM usermgmt.suspend_tenant(''unpaid'')';
	WHEN 'resume_tenant' THEN
		PERFORM usermgmt.end_use(), usermgmt.use_tenant(coalesce((SELECT tenant_id FROM usermgmt.tenant WHERE suspended_at IS NOT NULL ORDER BY random() LIMIT 1), home)::text);
		s := 'SELECT FROM usermgmt.resume_tenant()';
	WHEN 'create_workspace' THEN s := format('SELECT FROM usermgmt.create_workspace(%L, ''Workspace'')', 'w' || n);
	WHEN 'update_workspace' THEN s := format('SELECT FROM usermgmt.update_workspace(%L, slug => %L)', w, 'w' || n);
	WHEN 'archive_workspace' THEN s := format('SELECT FROM usermgmt.archive_workspace(%L)', w);
	WHEN 'restore_workspace' THEN s := format('SELECT FROM usermgmt.restore_workspace(%L)', w);
	WHEN 'set_workspace_member' THEN s := format('SELECT FROM usermgmt.set_workspace_member(%L, %L)', w, a);
	WHEN 'remove_workspace_member' THEN s := format('SELECT FROM usermgmt.remove_workspace_member(%L, %L)', w, a);
	WHEN 'set_email_template' THEN s := format('SELECT FROM usermgmt.set_email_template(%L, subject => %L)', soak.pick('invitation', 'removed', 'welcome', 'deactivated'), 'Subject ' || n);
	WHEN 'reset_email_template' THEN s := format('SELECT FROM usermgmt.reset_email_template(%L)', soak.pick('invitation', 'removed', 'welcome', 'deactivated'));
	WHEN 'record_activity' THEN s := 'SELECT FROM usermgmt.record_activity()';
	WHEN 'allow_invite_domain' THEN s := 'SELECT FROM usermgmt.allow_invite_domain(''soak.example'')';
	WHEN 'disallow_invite_domain' THEN s := 'SELECT FROM usermgmt.disallow_invite_domain(''soak.example'')';
	WHEN 'run_maintenance' THEN s := 'SELECT FROM usermgmt.run_maintenance()';
	WHEN 'audit_seal' THEN s := 'SELECT FROM usermgmt.audit_seal()';
	WHEN 'audit_retire' THEN s := 'SELECT FROM usermgmt.audit_retire(now() - interval ''2 seconds'')';
	WHEN 'audit_checkpoint' THEN s := 'SELECT FROM usermgmt.audit_checkpoint()';
	WHEN 'outbox_retry' THEN s := format('SELECT FROM usermgmt.outbox_retry(%L)', (SELECT message_id FROM usermgmt.outbox WHERE state = 'dead' ORDER BY random() LIMIT 1));
	WHEN 'outbox_cancel' THEN s := format('SELECT FROM usermgmt.outbox_cancel(%L)', (SELECT message_id FROM usermgmt.outbox WHERE state = 'queued' ORDER BY random() LIMIT 1));
	WHEN 'unsuppress_address' THEN s := format('SELECT FROM usermgmt.unsuppress_address(%L)', (SELECT address FROM usermgmt.address_suppression ORDER BY random() LIMIT 1));
	WHEN 'detach_table' THEN s := 'SELECT FROM usermgmt.detach_table(''soak.visit'')';
	WHEN 'attach_table' THEN s := 'SELECT FROM usermgmt.attach_table(''soak.visit'', ''tenant'', owner_column => ''owner'')';
	WHEN 'insert visit' THEN s := format('INSERT INTO soak.visit (tenant, owner) VALUES (%L, %L)', home, a);
	WHEN 'insert deal' THEN s := format('INSERT INTO soak.deal (tenant, owner, name, secret) VALUES (%L, %L, %L, ''s'')', home, a, n);
	WHEN 'update deal' THEN s := format('UPDATE soak.deal SET owner = %L, name = %L WHERE id = (SELECT id FROM soak.deal WHERE tenant = %L ORDER BY random() LIMIT 1)', a, n, home);
	WHEN 'delete deal' THEN s := format('DELETE FROM soak.deal WHERE id = (SELECT id FROM soak.deal WHERE tenant = %L ORDER BY random() LIMIT 1)', home);
	WHEN 'bare delete memberships' THEN s := format('DELETE FROM usermgmt.membership WHERE user_id = %L', a);
	WHEN 'bare delete two' THEN s := format('DELETE FROM usermgmt.membership WHERE user_id IN (%L, %L)', a, b);
	WHEN 'bare update role' THEN s := format('UPDATE usermgmt.membership SET role = %L WHERE user_id = %L', role, a);
	WHEN 'bare update status' THEN s := format('UPDATE usermgmt.membership SET status = ''deactivated'' WHERE user_id = %L AND NOT is_primary_owner', a);
	WHEN 'bare update account' THEN s := format('UPDATE usermgmt.account SET email = %L WHERE user_id = %L', 'p' || floor(60 + random() * 300)::integer || '@Soak.example', a);
	WHEN 'bare password' THEN s := format('UPDATE usermgmt.account SET password_version = password_version + 1 WHERE user_id = %L', a);
	WHEN 'bare update sessions' THEN s := format('UPDATE usermgmt.session SET state = ''ended'', ended_at = now() WHERE user_id = %L AND state = ''open''', a);
	WHEN 'bare age sessions' THEN s := format('UPDATE usermgmt.session SET expires_at = now() - interval ''2 days'' WHERE tenant_id = %L AND random() < 0.2', home);
	WHEN 'bare age mails' THEN s := format('UPDATE usermgmt.outbox SET expires_at = now() WHERE tenant_id = %L AND state = ''queued'' AND random() < 0.2', home);
	WHEN 'bare delete sessions' THEN s := format('DELETE FROM usermgmt.session WHERE user_id = %L', a);
	WHEN 'bare delete workspace' THEN s := format('DELETE FROM usermgmt.workspace WHERE workspace_id = %L', w);
	WHEN 'bare suspend' THEN s := format('UPDATE usermgmt.tenant SET suspended_at = now(), suspend_reason = ''bare'' WHERE tenant_id = %L AND suspended_at IS NULL', home);
	WHEN 'bare slug' THEN s := format('UPDATE usermgmt.tenant SET slug = %L WHERE tenant_id = %L', 'b' || n, home);
	END CASE;
	IF s IS NOT NULL THEN
		EXECUTE s;
	END IF;
END $$;

-- Homes, people in several of them, and tables of the application.
CREATE FUNCTION soak.settle() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	hash text;
BEGIN
	PERFORM usermgmt.create_tenant('home' || n, 'Home', 'p' || n || '@soak.example') FROM generate_series(1, 3) AS n;
	PERFORM usermgmt.use_tenant('home1');
	PERFORM usermgmt.accept_invitation(split_part(usermgmt.invitation_link(i.invitation_id), 'token=', 2), 'correct horse')
		FROM usermgmt.invite_user('p0@soak.example', 'admin') AS i;
	SELECT password_hash INTO hash FROM usermgmt.account WHERE email = 'p0@soak.example';
	INSERT INTO usermgmt.account (user_id, email, canonical_email)
		SELECT gen_random_uuid(), 'p' || n || '@soak.example', '' FROM generate_series(4, 40) AS n;
	UPDATE usermgmt.account SET password_hash = hash, verified_at = now() WHERE password_hash IS NULL;
	INSERT INTO usermgmt.membership (tenant_id, user_id, role)
		SELECT tenant_id, user_id, 'admin' FROM usermgmt.tenant, usermgmt.account WHERE random() < 0.6 ON CONFLICT DO NOTHING;
	DELETE FROM usermgmt.account AS a WHERE NOT EXISTS (SELECT FROM usermgmt.membership AS m WHERE m.user_id = a.user_id);
	PERFORM usermgmt.attach_table('soak.deal', 'tenant', owner_column => 'owner', redact => '{secret}');
	PERFORM usermgmt.attach_table('soak.visit', 'tenant', owner_column => 'owner');
END $$;

-- What is wrong, a line each. The last event about a thing says how it is now,
-- unless it has been retired.
CREATE FUNCTION soak.findings() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' | ', severity, problem, object, detail) FROM usermgmt."check"() WHERE severity <> 'warning'
	UNION ALL
	SELECT 'audit_verify: ' || v::text FROM usermgmt.audit_verify() AS v
	UNION ALL
	SELECT 'deal of nobody: ' || d.id FROM soak.deal AS d
	WHERE NOT EXISTS (SELECT FROM usermgmt.membership AS m WHERE m.tenant_id = d.tenant AND m.user_id = d.owner)
	UNION ALL
	SELECT format('the trail of %s %s says %s, it is %s', h.type, h.id, e.new ->> h.name, h.value)
	FROM (
		SELECT 'soak.deal' AS type, id::text, 'name' AS name, name AS value FROM soak.deal
		UNION ALL SELECT 'tenant', tenant_id::text, 'slug', slug FROM usermgmt.tenant
		UNION ALL SELECT 'workspace', workspace_id::text, 'slug', slug FROM usermgmt.workspace
		UNION ALL SELECT 'invitation', invitation_id::text, 'state', state FROM usermgmt.invitation
		UNION ALL SELECT 'session', session_id::text, 'state', state FROM usermgmt.session
	) AS h,
	LATERAL (
		SELECT v.new FROM usermgmt.audit_event AS v WHERE v.object_type = h.type AND v.object_id = h.id AND v.new ? h.name
		ORDER BY v.event_id DESC LIMIT 1
	) AS e
	WHERE e.new ->> h.name <> h.value;
$$;
