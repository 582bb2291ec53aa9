-- What the install script made; finish.sql fills it, and check() compares.
CREATE TABLE usermgmt.inventory (
	kind text NOT NULL,
	name text NOT NULL,
	definition text NOT NULL,
	PRIMARY KEY (kind, name)
);
COMMENT ON TABLE usermgmt.inventory IS 'Columns, indexes, constraints, triggers, policies, rules, functions and views as the install script made them; written by it, never dumped.';
COMMENT ON COLUMN usermgmt.inventory.kind IS 'The kind of object, such as column or trigger.';
COMMENT ON COLUMN usermgmt.inventory.name IS 'Its name.';
COMMENT ON COLUMN usermgmt.inventory.definition IS 'How the install script made it.';

-- Definitions are printed with fixed settings, so they compare; within the extension
-- that was made there: pg_upgrade makes another, from definitions that it read and
-- wrote anew. NOT NULL is told with the column, as a constraint it is one from 18 on.
CREATE FUNCTION usermgmt.inventory_now() RETURNS SETOF usermgmt.inventory
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
	SET DateStyle = ISO SET IntervalStyle = postgres SET TimeZone = UTC SET bytea_output = hex SET extra_float_digits = 1
	SET standard_conforming_strings = on
BEGIN ATOMIC
	WITH member AS (
		SELECT d.classid, d.objid
		FROM pg_depend AS d
		JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
		WHERE e.extname = 'usermgmt' AND d.deptype = 'e'
	), relation AS (
		SELECT c.oid, c.relname::text AS name, c.relkind, c.reloptions
		FROM member AS m JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
	), part (kind, name, definition) AS (
		SELECT 'extension', e.extname::text, format('%s in the cluster %s', e.oid, c.system_identifier)
		FROM pg_extension AS e, pg_control_system() AS c
		WHERE e.extname = 'usermgmt'
		UNION ALL
		SELECT 'column', r.name || '.' || a.attname,
			format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
				|| coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
		FROM relation AS r
		JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE r.relkind = 'r'
		UNION ALL
		SELECT 'index', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
		FROM relation AS r JOIN pg_index AS i ON i.indrelid = r.oid
		UNION ALL
		SELECT 'constraint', r.name || '.' || c.conname, pg_get_constraintdef(c.oid)
		FROM relation AS r JOIN pg_constraint AS c ON c.conrelid = r.oid AND c.contype <> 'n'
		UNION ALL
		SELECT 'trigger', r.name || '.' || t.tgname, pg_get_triggerdef(t.oid)
		FROM relation AS r JOIN pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal
		UNION ALL
		SELECT 'policy', r.name || '.' || p.polname,
			concat_ws(' ', p.polcmd, p.polpermissive, p.polroles, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
		FROM relation AS r JOIN pg_policy AS p ON p.polrelid = r.oid
		UNION ALL
		SELECT 'rule', r.name || '.' || w.rulename, pg_get_ruledef(w.oid)
		FROM relation AS r JOIN pg_rewrite AS w ON w.ev_class = r.oid
		WHERE r.relkind = 'r'
		UNION ALL
		SELECT 'view', r.name, concat_ws(' ', r.reloptions::text, pg_get_viewdef(r.oid))
		FROM relation AS r
		WHERE r.relkind = 'v'
		UNION ALL
		SELECT 'function', m.objid::regprocedure::text, pg_get_functiondef(m.objid)
		FROM member AS m
		WHERE m.classid = 'pg_proc'::regclass
	)
	SELECT kind, name, definition FROM part;
END;
COMMENT ON FUNCTION usermgmt.inventory_now() IS 'Internal: the inventory as the catalog has it now.';

CREATE TYPE usermgmt.finding AS (
	severity text,
	problem text,
	object text,
	detail text
);
COMMENT ON TYPE usermgmt.finding IS 'Something that is not as it should be: an error breaks a promise, a warning weakens one.';
COMMENT ON COLUMN usermgmt.finding.severity IS 'error (a promise is broken) or warning (one is weakened).';
COMMENT ON COLUMN usermgmt.finding.problem IS 'What is wrong, in words.';
COMMENT ON COLUMN usermgmt.finding.object IS 'Where.';
COMMENT ON COLUMN usermgmt.finding.detail IS 'What was found there.';

CREATE FUNCTION usermgmt.check_references() RETURNS SETOF usermgmt.finding
	LANGUAGE c STABLE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.check_references() IS 'Internal: rows that break a foreign key, which a restore does not look at.';

-- Internal: kept counts that are not what the rows say, so that check() finds them and an operator
-- can add the difference.
CREATE VIEW usermgmt.member_miscount AS
	SELECT n.tenant_id, n.workspace_id, n.role, n.status, n.logged_in_on,
		coalesce(sum(n.n) FILTER (WHERE n.counted), 0)::integer AS counted,
		coalesce(sum(n.n) FILTER (WHERE NOT n.counted), 0)::integer AS members
	FROM (
		SELECT c.tenant_id, c.workspace_id, c.role, c.status, c.logged_in_on, c.n, true AS counted FROM usermgmt.member_count AS c
		UNION ALL
		SELECT m.tenant_id, p.workspace_id, k.role, m.status, k.day, 1, false
		FROM usermgmt.membership AS m
		CROSS JOIN LATERAL (
			SELECT m.role, 'infinity'::date
			UNION ALL SELECT 'any', CASE WHEN m.last_login_at IS NULL THEN '-infinity' ELSE greatest((m.last_login_at AT TIME ZONE 'UTC')::date, '4714-11-24 BC') END
				WHERE m.status = 'active'
		) AS k (role, day)
		CROSS JOIN LATERAL (
			SELECT '00000000-0000-0000-0000-000000000000'::uuid
			UNION ALL SELECT w.workspace_id FROM usermgmt.workspace_member AS w WHERE w.tenant_id = m.tenant_id AND w.user_id = m.user_id
		) AS p (workspace_id)
	) AS n
	GROUP BY n.tenant_id, n.workspace_id, n.role, n.status, n.logged_in_on
	HAVING coalesce(sum(n.n) FILTER (WHERE n.counted), 0) <> coalesce(sum(n.n) FILTER (WHERE NOT n.counted), 0);
COMMENT ON VIEW usermgmt.member_miscount IS 'Internal: what member_count says and the memberships do not.';
COMMENT ON COLUMN usermgmt.member_miscount.tenant_id IS 'The tenant whose members are counted.';
COMMENT ON COLUMN usermgmt.member_miscount.workspace_id IS 'The workspace; all zero for the tenant as a whole.';
COMMENT ON COLUMN usermgmt.member_miscount.role IS 'As in member_count.';
COMMENT ON COLUMN usermgmt.member_miscount.status IS 'As in member_count.';
COMMENT ON COLUMN usermgmt.member_miscount.logged_in_on IS 'As in member_count.';
COMMENT ON COLUMN usermgmt.member_miscount.counted IS 'How many are counted.';
COMMENT ON COLUMN usermgmt.member_miscount.members IS 'How many there are.';

CREATE VIEW usermgmt.invitation_miscount AS
	SELECT n.tenant_id, greatest(n.expires_on, (statement_timestamp() AT TIME ZONE 'UTC')::date - 1) AS expires_on,
		coalesce(sum(n.n) FILTER (WHERE n.counted), 0)::integer AS counted,
		coalesce(sum(n.n) FILTER (WHERE NOT n.counted), 0)::integer AS open
	FROM (
		SELECT c.tenant_id, c.expires_on, c.n, true AS counted FROM usermgmt.invitation_count AS c
		UNION ALL
		SELECT i.tenant_id, (i.expires_at AT TIME ZONE 'UTC')::date, 1, false FROM usermgmt.invitation AS i WHERE i.state = 'pending'
	) AS n
	GROUP BY 1, 2
	HAVING coalesce(sum(n.n) FILTER (WHERE n.counted), 0) <> coalesce(sum(n.n) FILTER (WHERE NOT n.counted), 0);
COMMENT ON VIEW usermgmt.invitation_miscount IS 'Internal: what invitation_count says and the open invitations do not.';
COMMENT ON COLUMN usermgmt.invitation_miscount.tenant_id IS 'The tenant whose invitations are counted.';
COMMENT ON COLUMN usermgmt.invitation_miscount.expires_on IS 'The day (UTC) on which they expire; yesterday for all that have expired before today.';
COMMENT ON COLUMN usermgmt.invitation_miscount.counted IS 'How many are counted.';
COMMENT ON COLUMN usermgmt.invitation_miscount.open IS 'How many there are.';

-- Internal: what the rows of different tables must say of each other.
CREATE VIEW usermgmt.broken_invariant (problem, object, detail) AS
	SELECT 'owner_count is not the number of active owners', 'tenant ' || t.slug, format('it says %s, there are %s', t.owner_count, o.owners)
	FROM usermgmt.tenant AS t,
		LATERAL (
			SELECT count(*) AS owners, count(*) FILTER (WHERE m.is_primary_owner) AS primaries
			FROM usermgmt.membership AS m
			WHERE m.tenant_id = t.tenant_id AND m.role = 'owner' AND m.status = 'active'
		) AS o
	WHERE t.owner_count <> o.owners
	UNION ALL
	SELECT 'a tenant needs exactly one primary owner', 'tenant ' || t.slug, format('there are %s', count(m.user_id))
	FROM usermgmt.tenant AS t
	LEFT JOIN usermgmt.membership AS m ON m.tenant_id = t.tenant_id AND m.is_primary_owner
	WHERE t.state = 'active'
	GROUP BY t.tenant_id, t.slug
	HAVING count(m.user_id) <> 1
	UNION ALL
	SELECT 'seats are counted wrong', 'tenant ' || t.slug,
		format('counted %s members and %s invitations, there are %s and %s', s.members, s.invitations, n.members, n.invitations)
	FROM usermgmt.seat_count AS s
	JOIN usermgmt.tenant AS t USING (tenant_id),
		LATERAL (
			SELECT
				(SELECT count(*) FROM usermgmt.membership AS m WHERE m.tenant_id = s.tenant_id AND m.status = 'active') AS members,
				(SELECT count(*) FROM usermgmt.invitation AS i WHERE i.tenant_id = s.tenant_id AND i.state = 'pending' AND i.holds_seat) AS invitations
		) AS n
	WHERE (s.members, s.invitations) <> (n.members, n.invitations)
	UNION ALL
	SELECT 'an open session of somebody without access', 'session ' || s.session_id,
		concat_ws(', ', CASE WHEN a.closed_at IS NOT NULL THEN 'account closed' END, CASE WHEN m.status <> 'active' THEN m.status END,
			CASE WHEN t.suspended_at IS NOT NULL THEN 'tenant suspended' END)
	FROM usermgmt.session AS s
	JOIN usermgmt.account AS a USING (user_id)
	JOIN usermgmt.membership AS m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id
	JOIN usermgmt.tenant AS t ON t.tenant_id = s.tenant_id
	WHERE s.state = 'open' AND (a.closed_at IS NOT NULL OR m.status <> 'active' OR t.suspended_at IS NOT NULL)
	UNION ALL
	SELECT 'an open session shows another role or address', 'session ' || s.session_id, format('%s %s instead of %s %s', s.role, s.email, m.role, a.email)
	FROM usermgmt.session AS s
	JOIN usermgmt.account AS a USING (user_id)
	JOIN usermgmt.membership AS m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id
	WHERE s.state = 'open' AND (s.role <> m.role OR s.email <> a.email)
	UNION ALL
	SELECT 'a closed account belongs to a tenant', 'account ' || a.user_id, 'tenant ' || m.tenant_id
	FROM usermgmt.account AS a
	JOIN usermgmt.membership AS m USING (user_id)
	WHERE a.closed_at IS NOT NULL
	UNION ALL
	SELECT 'an offered place does not follow its invitation', 'invitation ' || w.invitation_id, format('is_open is %s, the invitation is %s', w.is_open, i.state)
	FROM usermgmt.invitation_workspace AS w
	JOIN usermgmt.invitation AS i ON i.invitation_id = w.invitation_id AND i.tenant_id = w.tenant_id
	WHERE w.is_open <> (i.state = 'pending')
	UNION ALL
	SELECT 'an invitation was accepted by nobody', 'invitation ' || i.invitation_id, 'account ' || i.accepted_by
	FROM usermgmt.invitation AS i
	WHERE i.state = 'accepted' AND NOT EXISTS (SELECT FROM usermgmt.account AS a WHERE a.user_id = i.accepted_by)
	UNION ALL
	SELECT 'members are counted wrong', 'tenant ' || t.slug, format('counted %s of one role and status, or of one day of last log-in, there are %s', d.counted, d.members)
	FROM usermgmt.member_miscount AS d
	JOIN usermgmt.tenant AS t USING (tenant_id)
	UNION ALL
	SELECT 'open invitations are counted wrong', 'tenant ' || t.slug, format('counted %s that expire on one day or have expired, there are %s', d.counted, d.open)
	FROM usermgmt.invitation_miscount AS d
	JOIN usermgmt.tenant AS t USING (tenant_id)
	UNION ALL
	SELECT 'the history says something else than the membership', 'account ' || coalesce(m.user_id, h.user_id) || ' in tenant ' || coalesce(m.tenant_id, h.tenant_id),
		format('%s %s, and it is %s %s', coalesce(h.role, 'no role'), h.status, coalesce(m.role, 'no member'), m.status)
	FROM usermgmt.membership AS m
	FULL JOIN (
		SELECT * FROM usermgmt.membership_history
		WHERE upper_inf(valid) AND workspace_id = '00000000-0000-0000-0000-000000000000'
			AND user_id <> '00000000-0000-0000-0000-000000000000' AND status <> 'removed'
	) AS h ON h.tenant_id = m.tenant_id AND h.user_id = m.user_id
	WHERE (h.role, h.status) IS DISTINCT FROM (m.role, m.status)
	UNION ALL
	SELECT 'periods of the history overlap', 'account ' || h.user_id || ' in tenant ' || h.tenant_id, h.valid::text
	FROM (
		SELECT *, lag(valid) OVER (PARTITION BY tenant_id, user_id, workspace_id ORDER BY valid) AS before
		FROM usermgmt.membership_history
	) AS h
	WHERE h.valid && h.before;
COMMENT ON VIEW usermgmt.broken_invariant IS 'Internal: rows that contradict each other, for check().';
COMMENT ON COLUMN usermgmt.broken_invariant.problem IS 'What is wrong.';
COMMENT ON COLUMN usermgmt.broken_invariant.object IS 'With what.';
COMMENT ON COLUMN usermgmt.broken_invariant.detail IS 'How, or what helps.';

-- Internal: what has been done to the extension's objects since it was installed.
CREATE VIEW usermgmt.changed_object (problem, object, detail) AS
	SELECT CASE WHEN made.name IS NULL THEN 'not made by the extension' WHEN here.name IS NULL THEN 'is missing'
			WHEN kind = 'extension' THEN 'objects are compared by name only' ELSE 'was changed' END,
		kind || ' ' || name,
		CASE kind WHEN 'extension' THEN 'the inventory was made elsewhere, before pg_upgrade: make it anew' ELSE coalesce(here.definition, made.definition) END
	FROM usermgmt.inventory AS made
	FULL JOIN (SELECT *, bool_or(kind = 'extension' AND (kind, name, definition) IN (SELECT i.kind, i.name, i.definition FROM usermgmt.inventory AS i)) OVER () AS same
		FROM usermgmt.inventory_now()) AS here USING (kind, name)
	WHERE made.definition IS DISTINCT FROM here.definition AND (same OR made.name IS NULL OR here.name IS NULL OR kind = 'extension')
	UNION ALL
	SELECT 'a trigger does not fire', format('trigger %s.%s', c.relname, t.tgname), format('ALTER TABLE usermgmt.%I ENABLE TRIGGER ALL', c.relname)
	FROM pg_trigger AS t
	JOIN pg_class AS c ON c.oid = t.tgrelid
	WHERE c.relnamespace = 'usermgmt'::regnamespace AND t.tgenabled NOT IN ('O', 'A')
		AND EXISTS (SELECT FROM usermgmt.installation AS i
			WHERE i.database_oid = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
				AND i.extension_oid = (SELECT e.oid FROM pg_extension AS e WHERE e.extname = 'usermgmt'))
	UNION ALL
	SELECT 'row security is off', 'table ' || c.relname, 'pg_read_all_data reads its rows'
	FROM pg_class AS c
	WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind = 'r' AND NOT c.relrowsecurity
	UNION ALL
	SELECT 'not made by the extension', format('%s in schema usermgmt', pg_describe_object('pg_class'::regclass, c.oid, 0)), NULL
	FROM pg_class AS c
	WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'S', 'f', 'p')
		AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
	UNION ALL
	SELECT 'not made by the extension', format('%s in schema usermgmt', pg_describe_object('pg_proc'::regclass, p.oid, 0)), NULL
	FROM pg_proc AS p
	WHERE p.pronamespace = 'usermgmt'::regnamespace
		AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
	UNION ALL
	SELECT 'does not belong to the owner of the extension', 'relation ' || c.relname, 'it belongs to ' || c.relowner::regrole
	FROM pg_class AS c
	JOIN pg_extension AS e ON e.extname = 'usermgmt'
	WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relowner <> e.extowner;
COMMENT ON VIEW usermgmt.changed_object IS 'Internal: objects that are not as the install script made them, for check().';
COMMENT ON COLUMN usermgmt.changed_object.problem IS 'What is wrong.';
COMMENT ON COLUMN usermgmt.changed_object.object IS 'With what.';
COMMENT ON COLUMN usermgmt.changed_object.detail IS 'How, or what helps.';

-- Internal: what lets somebody around the extension, without breaking it.
CREATE VIEW usermgmt.weak_point (problem, object, detail) AS
	SELECT 'a role may write a table directly', 'table ' || c.relname, concat_ws(' ', a.grantee::regrole, a.privilege_type)
	FROM pg_class AS c, LATERAL aclexplode(c.relacl) AS a
	WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind = 'r' AND a.grantee <> c.relowner AND a.privilege_type <> 'SELECT'
	UNION ALL
	SELECT 'everybody has a privilege', 'relation ' || c.relname, a.privilege_type
	FROM pg_class AS c, LATERAL aclexplode(c.relacl) AS a
	WHERE c.relnamespace = 'usermgmt'::regnamespace AND a.grantee = 0
	UNION ALL
	SELECT 'everybody may execute a function', 'function ' || p.oid::regprocedure, NULL
	FROM pg_proc AS p, LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
	WHERE p.pronamespace = 'usermgmt'::regnamespace AND a.grantee = 0
	UNION ALL
	SELECT 'a role may silence triggers', 'role ' || CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, 'it may SET ' || p.parname
	FROM pg_parameter_acl AS p, LATERAL aclexplode(p.paracl) AS a
	WHERE p.parname = 'session_replication_role' AND a.privilege_type = 'SET'
		AND a.grantee NOT IN (SELECT r.oid FROM pg_roles AS r WHERE r.rolsuper)
	UNION ALL
	SELECT 'row security does not apply to a role', 'role ' || r.rolname, 'BYPASSRLS'
	FROM pg_roles AS r
	WHERE r.rolbypassrls AND NOT r.rolsuper
	UNION ALL
	SELECT 'the first call of a connection is logged whole', 'log_statement', 'add usermgmt to shared_preload_libraries'
	WHERE current_setting('log_statement') IN ('mod', 'all')
		AND concat_ws(',', current_setting('shared_preload_libraries', true), current_setting('session_preload_libraries', true)) !~ E'\\musermgmt\\M'
	UNION ALL
	SELECT 'no trigger fires yet', 'installation', 'usermgmt.activate(), or the first call that writes, arms them'
	WHERE NOT EXISTS (SELECT FROM usermgmt.installation AS i
			WHERE i.database_oid = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
				AND i.extension_oid = (SELECT e.oid FROM pg_extension AS e WHERE e.extname = 'usermgmt'))
	UNION ALL
	SELECT 'mail is paused', 'installation', i.mail_pause_reason
	FROM usermgmt.installation AS i
	WHERE i.mail_pause_reason IS NOT NULL;
COMMENT ON VIEW usermgmt.weak_point IS 'Internal: privileges and settings that weaken a promise, for check().';
COMMENT ON COLUMN usermgmt.weak_point.problem IS 'What is wrong.';
COMMENT ON COLUMN usermgmt.weak_point.object IS 'With what.';
COMMENT ON COLUMN usermgmt.weak_point.detail IS 'How, or what helps.';

CREATE FUNCTION usermgmt."check"() RETURNS SETOF usermgmt.finding
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
BEGIN ATOMIC
	SELECT 'error' AS severity, problem, object, detail FROM usermgmt.broken_invariant
	UNION ALL
	SELECT * FROM usermgmt.check_references()
	UNION ALL
	SELECT CASE object WHEN 'extension usermgmt' THEN 'warning' ELSE 'error' END, problem, object, detail FROM usermgmt.changed_object
	UNION ALL
	SELECT 'warning', problem, object, detail FROM usermgmt.weak_point
	ORDER BY severity, problem, object;
END;
COMMENT ON FUNCTION usermgmt."check"() IS 'Everything that is not as it should be: broken invariants and references, changed or foreign objects, triggers that do not fire, privileges and settings that weaken a promise; no row means that all is well.';

-- Of what is not sealed the oldest comes first in the order of sealing; no more
-- than 10,000 are counted.
CREATE VIEW usermgmt.server_statistics AS
	SELECT
		q.running AS hashing,
		q.waiting AS waiting_to_hash,
		(
			SELECT count(*)
			FROM (
				SELECT FROM usermgmt.audit_event AS e
				WHERE (e.epoch, e.transaction_id, e.event_id) > (s.epoch, s.transaction_id, s.event_id)
				ORDER BY e.epoch, e.transaction_id, e.event_id LIMIT 10000
			) AS e
		)::integer AS unsealed_events,
		(
			SELECT greatest(clock_timestamp() - e.occurred_at, '0')
			FROM usermgmt.audit_event AS e
			WHERE (e.epoch, e.transaction_id, e.event_id) > (s.epoch, s.transaction_id, s.event_id)
			ORDER BY e.epoch, e.transaction_id, e.event_id LIMIT 1
		) AS oldest_unsealed_age,
		(SELECT coalesce(sum(t.failures), 0) FROM usermgmt.login_throttle AS t WHERE t.last_failure_at > statement_timestamp() - interval '1 hour')::integer AS failed_log_ins,
		(SELECT count(*) FROM usermgmt.login_throttle AS t WHERE t.next_try_at > clock_timestamp())::integer AS throttled_addresses,
		pg_notification_queue_usage() AS notify_queue_usage
	FROM usermgmt.hash_queue() AS q
	LEFT JOIN LATERAL (
		SELECT last_epoch, last_transaction_id, last_event_id
		FROM usermgmt.audit_seal
		ORDER BY seal_no DESC LIMIT 1
	) AS last ON true,
		LATERAL (
			SELECT coalesce(last.last_epoch, -1) AS epoch, coalesce(last.last_transaction_id, '0') AS transaction_id,
				coalesce(last.last_event_id, '00000000-0000-0000-0000-000000000000') AS event_id
		) AS s;
COMMENT ON VIEW usermgmt.server_statistics IS 'How the server copes: password hashes, sealing, failed log-ins, and its queue of notifications; one row, without names.';
COMMENT ON COLUMN usermgmt.server_statistics.hashing IS 'Password hashes that run now, in all databases.';
COMMENT ON COLUMN usermgmt.server_statistics.waiting_to_hash IS 'Connections that wait for one of the hash slots, in all databases.';
COMMENT ON COLUMN usermgmt.server_statistics.unsealed_events IS 'Events that are not sealed yet; more than 10,000 are not counted.';
COMMENT ON COLUMN usermgmt.server_statistics.oldest_unsealed_age IS 'How old the first of them is; NULL when there is none.';
COMMENT ON COLUMN usermgmt.server_statistics.failed_log_ins IS 'Failed log-ins at addresses where one failed within the hour, of which each minute forgets one per address.';
COMMENT ON COLUMN usermgmt.server_statistics.throttled_addresses IS 'Addresses whose next try does not count yet.';
COMMENT ON COLUMN usermgmt.server_statistics.notify_queue_usage IS 'How full the server''s queue of notifications is, from 0 to 1; from 0.75 on usermgmt adds none.';

CREATE FUNCTION usermgmt.server_figures() RETURNS SETOF usermgmt.server_statistics
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'SELECT * FROM usermgmt.server_statistics';
COMMENT ON FUNCTION usermgmt.server_figures() IS 'The row of server_statistics, for the relay''s metrics.';

INSERT INTO usermgmt.access_privilege (access, object_kind, object_name) VALUES
	('relay', 'function', 'server_figures'),
	('operator', 'relation', 'server_statistics'),
	('operator', 'function', 'check'),
	('operator', 'relation', 'inventory');
