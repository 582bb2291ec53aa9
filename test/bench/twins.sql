-- What the goals compare with, in copies of the same tables with the same rows
-- and indexes: schema raw, for the bare rows that a function writes (the
-- limit: no trigger, no foreign key, no check but those of the table), and
-- schema twin, for PL/pgSQL that does what the extension does: definer
-- functions with a fixed search_path, a verified session that is bound for the
-- transaction, the actor locked FOR SHARE, the same checks, mail queued and an
-- audit trail by trigger with the columns that changed.
SET synchronous_commit = off;
CREATE SCHEMA raw;
CREATE SCHEMA twin;
DO $$
DECLARE
	s text;
	t text;
BEGIN
	FOREACH s IN ARRAY '{raw,twin}'::text[] LOOP
		FOREACH t IN ARRAY '{tenant,account,membership,membership_history,member_count,session,invitation,invite_domain,seat_count,outbox,audit_event}'::text[] LOOP
			EXECUTE format('CREATE TABLE %I.%I (LIKE usermgmt.%2$I INCLUDING ALL)', s, t);
			EXECUTE format('INSERT INTO %I.%I SELECT * FROM usermgmt.%2$I', s, t);
		END LOOP;
	END LOOP;
END $$;
ALTER TABLE twin.membership ADD FOREIGN KEY (tenant_id) REFERENCES twin.tenant,
	ADD FOREIGN KEY (user_id) REFERENCES twin.account;
ALTER TABLE twin.session ADD FOREIGN KEY (tenant_id, user_id) REFERENCES twin.membership;
ALTER TABLE twin.invitation ADD FOREIGN KEY (tenant_id) REFERENCES twin.tenant;
-- The twin hashes with the server's own SHA-256, of a token "id.secret".
UPDATE twin.session SET token_hash = sha256(session_id::text::bytea) WHERE state = 'open';

-- The columns that changed, old and new, in one event for each row.
CREATE FUNCTION twin.audit() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	before jsonb;
	after jsonb;
	difference jsonb;
	shown jsonb;
BEGIN
	IF TG_OP <> 'INSERT' THEN before := to_jsonb(OLD) - TG_ARGV[2]; END IF;
	IF TG_OP <> 'DELETE' THEN after := to_jsonb(NEW) - TG_ARGV[2]; END IF;
	shown := coalesce(after, before);
	IF TG_OP = 'UPDATE' THEN
		SELECT jsonb_object_agg(b.key, b.value), jsonb_object_agg(a.key, a.value) INTO before, difference
		FROM jsonb_each(before) AS b JOIN jsonb_each(after) AS a USING (key)
		WHERE a.value IS DISTINCT FROM b.value;
		IF difference IS NULL THEN RETURN NULL; END IF;
		after := difference;
	END IF;
	INSERT INTO twin.audit_event (tenant_id, event_id, occurred_at, actor_user_id, actor_email, actor_db_role,
		session_id, action, object_type, object_id, subject_email, old, new, transaction_id, epoch)
	VALUES ((shown ->> 'tenant_id')::uuid, gen_random_uuid(), clock_timestamp(),
		nullif(current_setting('twin.user_id', true), '')::uuid, nullif(current_setting('twin.email', true), ''),
		session_user, nullif(current_setting('twin.session_id', true), '')::uuid,
		TG_ARGV[0] || '.' || lower(TG_OP), TG_ARGV[0], shown ->> TG_ARGV[1], shown ->> 'email',
		before, after, pg_current_xact_id(), 0);
	RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON twin.invitation
	FOR EACH ROW EXECUTE FUNCTION twin.audit('invitation', 'invitation_id', 'canonical_email');

CREATE FUNCTION twin.use_session(token text, OUT session_id uuid, OUT user_id uuid, OUT tenant_id uuid, OUT role text,
		OUT email text, OUT expires_at timestamptz)
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s twin.session%ROWTYPE;
	moment timestamptz := clock_timestamp();
BEGIN
	SELECT * INTO s FROM twin.session AS x WHERE x.session_id = split_part(token, '.', 1)::uuid;
	IF NOT FOUND OR s.state <> 'open' OR s.expires_at <= moment
		OR s.last_used_at + s.idle_seconds * interval '1 second' <= moment
		OR s.token_hash <> sha256(split_part(token, '.', 2)::bytea)
	THEN
		RAISE 'not authenticated' USING ERRCODE = '28000';
	END IF;
	IF s.last_used_at < moment - interval '1 minute' THEN
		UPDATE twin.session AS x SET last_used_at = moment WHERE x.session_id = s.session_id;
	END IF;
	PERFORM set_config('twin.user_id', s.user_id::text, true), set_config('twin.tenant_id', s.tenant_id::text, true),
		set_config('twin.role', s.role, true), set_config('twin.email', s.email, true),
		set_config('twin.session_id', s.session_id::text, true);
	session_id := s.session_id;
	user_id := s.user_id;
	tenant_id := s.tenant_id;
	role := s.role;
	email := s.email;
	expires_at := s.expires_at;
END $$;

-- The session's token is the setting twin.token, as the extension takes it from
-- usermgmt.session_token.
CREATE FUNCTION twin.invite_user(email text, role text DEFAULT 'member', message text DEFAULT NULL, name text DEFAULT NULL)
	RETURNS twin.invitation
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	actor record;
	actor_role text;
	t twin.tenant%ROWTYPE;
	i twin.invitation%ROWTYPE;
	canonical text := lower(email);
	moment timestamptz := clock_timestamp();
	taken integer;
BEGIN
	SELECT * INTO actor FROM twin.use_session(current_setting('twin.token'));
	IF actor.role NOT IN ('owner', 'admin') THEN RAISE insufficient_privilege; END IF;
	IF email IS NULL OR email !~ '^[^[:space:][:cntrl:]@]{1,64}@[[:alnum:]](?:[[:alnum:].-]{0,251}[[:alnum:]])?$' THEN
		RAISE 'email is not valid' USING ERRCODE = '22023';
	END IF;
	IF role NOT IN ('owner', 'admin', 'member') OR length(message) > 2000 OR length(name) > 200 THEN
		RAISE 'argument is not valid' USING ERRCODE = '22023';
	END IF;
	SELECT * INTO STRICT t FROM twin.tenant AS x WHERE x.tenant_id = actor.tenant_id;
	IF t.suspended_at IS NOT NULL OR NOT coalesce((t.settings ->> 'invitations_enabled')::boolean, true) THEN
		RAISE 'no invitations' USING ERRCODE = 'UM040';
	END IF;
	SELECT m.role INTO actor_role FROM twin.membership AS m
	WHERE m.tenant_id = actor.tenant_id AND m.user_id = actor.user_id AND m.status = 'active' FOR SHARE;
	IF actor_role IS NULL OR actor_role NOT IN ('owner', 'admin') OR (role = 'owner' AND actor_role <> 'owner') THEN
		RAISE insufficient_privilege;
	END IF;
	IF role = 'owner' AND NOT coalesce((t.settings ->> 'allow_owner_invitations')::boolean, false) THEN
		RAISE 'owners cannot be invited' USING ERRCODE = 'UM038';
	END IF;
	IF EXISTS (SELECT FROM twin.invite_domain AS d WHERE d.tenant_id = actor.tenant_id)
		AND NOT EXISTS (SELECT FROM twin.invite_domain AS d
			WHERE d.tenant_id = actor.tenant_id AND d.domain = split_part(canonical, '@', 2)) THEN
		RAISE 'domain is not allowed' USING ERRCODE = 'UM034';
	END IF;
	IF t.settings ? 'seat_limit' THEN
		UPDATE twin.seat_count AS c SET invitations = c.invitations + 1
		WHERE c.tenant_id = actor.tenant_id AND c.members + c.invitations < (t.settings ->> 'seat_limit')::integer;
		IF NOT FOUND THEN RAISE 'no seat is free' USING ERRCODE = 'UM035'; END IF;
	END IF;
	IF EXISTS (SELECT FROM twin.account AS a JOIN twin.membership AS m ON m.user_id = a.user_id
		WHERE a.canonical_email = canonical AND a.closed_at IS NULL AND m.tenant_id = actor.tenant_id) THEN
		RAISE 'is a member already' USING ERRCODE = 'UM032';
	END IF;
	INSERT INTO twin.invitation (invitation_id, tenant_id, email, canonical_email, name, role, message, state,
		invited_by, invited_by_email, created_at, queued_at, expires_at)
	VALUES (gen_random_uuid(), actor.tenant_id, invite_user.email, canonical, invite_user.name, invite_user.role,
		invite_user.message, 'pending', actor.user_id, actor.email, moment, moment,
		moment + coalesce((t.settings ->> 'invitation_ttl')::interval, interval '7 days'))
	ON CONFLICT (tenant_id, canonical_email) WHERE state = 'pending' DO NOTHING
	RETURNING * INTO i;
	IF NOT FOUND THEN RAISE 'invited already' USING ERRCODE = 'UM033'; END IF;
	INSERT INTO twin.outbox (message_id, tenant_id, kind, subject_id, recipient, recipient_name, due_at, expires_at, created_at)
	VALUES (gen_random_uuid(), actor.tenant_id, 'invitation', i.invitation_id, i.email, i.name, moment, i.expires_at, moment);
	RETURN i;
END $$;

GRANT USAGE ON SCHEMA twin TO bench_app;
ANALYZE;
