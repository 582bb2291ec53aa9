-- written -> never changed.
CREATE TABLE usermgmt.audit_event (
	tenant_id uuid NOT NULL,
	event_id uuid NOT NULL,
	occurred_at timestamptz NOT NULL,
	actor_user_id uuid,
	actor_email text,
	actor_db_role text NOT NULL,
	session_id uuid,
	ip text,
	action text NOT NULL,
	object_type text NOT NULL,
	object_id text,
	subject_email text,
	old jsonb,
	new jsonb,
	reason text,
	transaction_id xid8 NOT NULL,
	epoch integer NOT NULL,
	salt uuid NOT NULL DEFAULT gen_random_uuid(),
	PRIMARY KEY (tenant_id, event_id)
);
COMMENT ON TABLE usermgmt.audit_event IS 'Append-only trail of every change; tenant_id is all zero for what belongs to no tenant, epoch counts the databases this installation has lived in, salt hides what is erased from the sealed hash.';
COMMENT ON COLUMN usermgmt.audit_event.tenant_id IS 'The tenant concerned; all zero for what belongs to none.';
COMMENT ON COLUMN usermgmt.audit_event.event_id IS 'Id of the event; sorts by time.';
COMMENT ON COLUMN usermgmt.audit_event.occurred_at IS 'When the change was made, by the wall clock.';
COMMENT ON COLUMN usermgmt.audit_event.actor_user_id IS 'The person who acted, where a session was bound or the function knew the person.';
COMMENT ON COLUMN usermgmt.audit_event.actor_email IS 'That person''s address at the time.';
COMMENT ON COLUMN usermgmt.audit_event.actor_db_role IS 'The database role of the connection (session_user).';
COMMENT ON COLUMN usermgmt.audit_event.session_id IS 'The session that acted.';
COMMENT ON COLUMN usermgmt.audit_event.ip IS 'Where that session was opened from.';
COMMENT ON COLUMN usermgmt.audit_event.action IS 'What happened, for example invitation.created or user.deactivated.';
COMMENT ON COLUMN usermgmt.audit_event.object_type IS 'The kind of thing that changed.';
COMMENT ON COLUMN usermgmt.audit_event.object_id IS 'Its id.';
COMMENT ON COLUMN usermgmt.audit_event.subject_email IS 'The address of the person concerned.';
COMMENT ON COLUMN usermgmt.audit_event.old IS 'The changed columns before, without secrets.';
COMMENT ON COLUMN usermgmt.audit_event.new IS 'The changed columns after, without secrets.';
COMMENT ON COLUMN usermgmt.audit_event.reason IS 'Why, as given by the caller.';
COMMENT ON COLUMN usermgmt.audit_event.transaction_id IS 'The transaction that made the change.';
COMMENT ON COLUMN usermgmt.audit_event.epoch IS 'Which of the databases that this installation has lived in wrote it.';
COMMENT ON COLUMN usermgmt.audit_event.salt IS 'Random part of the commitment to the personal columns.';
CREATE INDEX audit_event_feed ON usermgmt.audit_event (epoch, transaction_id, event_id);

CREATE FUNCTION usermgmt.audit_refuse() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.audit_refuse() IS 'Trigger: the audit trail can not be changed.';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON usermgmt.audit_event
	FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.audit_refuse();

CREATE FUNCTION usermgmt.audit_change() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.audit_change() IS 'Trigger: writes an event for every row that the statement changed.';

-- Makes the audit triggers of a table; for this script, dropped by finish.sql.
CREATE FUNCTION usermgmt.audit_attach(target regclass, arguments text[]) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME';
SELECT usermgmt.audit_attach('usermgmt.installation', '{installation,installation_id}');
SELECT usermgmt.audit_attach('usermgmt.signing_key', '{signing_key,key_id,hide:key}');

-- Internal: what the views and the feed show, of every tenant.
CREATE VIEW usermgmt.audit_event_detail AS
	SELECT event_id, occurred_at,
		nullif(tenant_id, '00000000-0000-0000-0000-000000000000') AS tenant_id,
		actor_user_id, actor_email, actor_db_role, session_id, ip, action,
		object_type, object_id, subject_email, old, new, reason,
		transaction_id::text AS transaction_id
	FROM usermgmt.audit_event;
COMMENT ON VIEW usermgmt.audit_event_detail IS 'Every event of every tenant; whoever may read this is an auditor.';
COMMENT ON COLUMN usermgmt.audit_event_detail.event_id IS 'Id of the event; sorts by time.';
COMMENT ON COLUMN usermgmt.audit_event_detail.occurred_at IS 'When the change was made, by the wall clock.';
COMMENT ON COLUMN usermgmt.audit_event_detail.tenant_id IS 'The tenant concerned; NULL for what belongs to none.';
COMMENT ON COLUMN usermgmt.audit_event_detail.actor_user_id IS 'The person who acted, where a session was bound or the function knew the person.';
COMMENT ON COLUMN usermgmt.audit_event_detail.actor_email IS 'That person''s address at the time.';
COMMENT ON COLUMN usermgmt.audit_event_detail.actor_db_role IS 'The database role of the connection (session_user).';
COMMENT ON COLUMN usermgmt.audit_event_detail.session_id IS 'The session that acted.';
COMMENT ON COLUMN usermgmt.audit_event_detail.ip IS 'Where that session was opened from.';
COMMENT ON COLUMN usermgmt.audit_event_detail.action IS 'What happened, for example invitation.created or user.deactivated.';
COMMENT ON COLUMN usermgmt.audit_event_detail.object_type IS 'The kind of thing that changed.';
COMMENT ON COLUMN usermgmt.audit_event_detail.object_id IS 'Its id.';
COMMENT ON COLUMN usermgmt.audit_event_detail.subject_email IS 'The address of the person concerned.';
COMMENT ON COLUMN usermgmt.audit_event_detail.old IS 'The changed columns before, without secrets.';
COMMENT ON COLUMN usermgmt.audit_event_detail.new IS 'The changed columns after, without secrets.';
COMMENT ON COLUMN usermgmt.audit_event_detail.reason IS 'Why, as given by the caller.';
COMMENT ON COLUMN usermgmt.audit_event_detail.transaction_id IS 'The transaction that made the change.';

-- A session or a selected tenant shows that tenant; an auditor without one sees all.
-- Sorted, it stays a barrier (PostgreSQL pulls a bare UNION ALL up) and is paged by its index,
-- newest first.
CREATE VIEW usermgmt.audit_trail WITH (security_barrier) AS
	(SELECT event_id, occurred_at, tenant_id, actor_user_id, actor_email,
		actor_db_role, session_id, ip, action, object_type, object_id,
		subject_email, old, new, reason, transaction_id::text AS transaction_id
	FROM usermgmt.audit_event
	WHERE tenant_id = usermgmt.tenant_as('admin')
	ORDER BY event_id DESC)
	UNION ALL
	SELECT event_id, occurred_at, tenant_id, actor_user_id, actor_email,
		actor_db_role, session_id, ip, action, object_type, object_id,
		subject_email, old, new, reason, transaction_id
	FROM usermgmt.audit_event_detail
	WHERE usermgmt.current_tenant_id() IS NULL
		AND usermgmt.acts_without_session()
		AND has_table_privilege('usermgmt.audit_event_detail', 'select')
	ORDER BY event_id DESC;
COMMENT ON VIEW usermgmt.audit_trail IS 'The audit trail, newest first: of the present tenant for its admins, of all tenants for auditors.';
COMMENT ON COLUMN usermgmt.audit_trail.event_id IS 'Id of the event; sorts by time.';
COMMENT ON COLUMN usermgmt.audit_trail.occurred_at IS 'When the change was made, by the wall clock.';
COMMENT ON COLUMN usermgmt.audit_trail.tenant_id IS 'The tenant concerned; NULL for what belongs to none.';
COMMENT ON COLUMN usermgmt.audit_trail.actor_user_id IS 'The person who acted, where a session was bound or the function knew the person.';
COMMENT ON COLUMN usermgmt.audit_trail.actor_email IS 'That person''s address at the time.';
COMMENT ON COLUMN usermgmt.audit_trail.actor_db_role IS 'The database role of the connection (session_user).';
COMMENT ON COLUMN usermgmt.audit_trail.session_id IS 'The session that acted.';
COMMENT ON COLUMN usermgmt.audit_trail.ip IS 'Where that session was opened from.';
COMMENT ON COLUMN usermgmt.audit_trail.action IS 'What happened, for example invitation.created or user.deactivated.';
COMMENT ON COLUMN usermgmt.audit_trail.object_type IS 'The kind of thing that changed.';
COMMENT ON COLUMN usermgmt.audit_trail.object_id IS 'Its id.';
COMMENT ON COLUMN usermgmt.audit_trail.subject_email IS 'The address of the person concerned.';
COMMENT ON COLUMN usermgmt.audit_trail.old IS 'The changed columns before, without secrets.';
COMMENT ON COLUMN usermgmt.audit_trail.new IS 'The changed columns after, without secrets.';
COMMENT ON COLUMN usermgmt.audit_trail.reason IS 'Why, as given by the caller.';
COMMENT ON COLUMN usermgmt.audit_trail.transaction_id IS 'The transaction that made the change.';

-- Ordered by transaction, and only of transactions below the oldest running
-- one: an event that commits late is never passed over. The event to begin
-- after is found tenant by tenant, through the primary key.
CREATE FUNCTION usermgmt.events_since(event_id uuid DEFAULT NULL, max_events integer DEFAULT NULL)
	RETURNS SETOF usermgmt.audit_trail
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
BEGIN ATOMIC
	WITH RECURSIVE tenant (tenant_id) AS (
		(SELECT e.tenant_id FROM usermgmt.audit_event AS e ORDER BY e.tenant_id LIMIT 1)
		UNION ALL
		SELECT (
			SELECT e.tenant_id FROM usermgmt.audit_event AS e
			WHERE e.tenant_id > tenant.tenant_id ORDER BY e.tenant_id LIMIT 1
		)
		FROM tenant WHERE tenant.tenant_id IS NOT NULL
	), seen AS (
		SELECT e.epoch, e.transaction_id, e.event_id
		FROM tenant
		JOIN usermgmt.audit_event AS e ON e.tenant_id = tenant.tenant_id AND e.event_id = events_since.event_id
		UNION ALL
		SELECT -1, '0', '00000000-0000-0000-0000-000000000000'
		ORDER BY epoch DESC LIMIT 1
	), here AS (
		SELECT coalesce(max(i.epoch), 0) AS epoch FROM usermgmt.installation AS i
	), found AS (
		SELECT e.*
		FROM usermgmt.audit_event AS e
		WHERE (e.epoch, e.transaction_id, e.event_id) >
				((SELECT epoch FROM seen), (SELECT transaction_id FROM seen), (SELECT seen.event_id FROM seen))
			AND (e.epoch < (SELECT epoch FROM here) OR e.transaction_id < pg_snapshot_xmin(pg_current_snapshot()))
		ORDER BY e.epoch, e.transaction_id, e.event_id
		LIMIT greatest(coalesce(max_events, 1000), 0)
	)
	SELECT found.event_id, occurred_at,
		nullif(tenant_id, '00000000-0000-0000-0000-000000000000'),
		actor_user_id, actor_email, actor_db_role, session_id, ip, action,
		object_type, object_id, subject_email, old, new, reason,
		found.transaction_id::text
	FROM found
	ORDER BY found.epoch, found.transaction_id, found.event_id;
END;
COMMENT ON FUNCTION usermgmt.events_since(uuid, integer) IS 'The events after the given one, in an order that misses none under concurrent commits; NULL begins at the first, at most max_events (1000).';

-- Without a row level trigger of its own: a seal is no act of a person, and an event for each would need sealing.
CREATE TABLE usermgmt.audit_seal (
	seal_no bigint NOT NULL PRIMARY KEY,
	sealed_at timestamptz NOT NULL,
	event_count integer NOT NULL CHECK (event_count > 0),
	first_epoch integer NOT NULL,
	first_transaction_id xid8 NOT NULL,
	first_event_id uuid NOT NULL,
	last_epoch integer NOT NULL,
	last_transaction_id xid8 NOT NULL,
	last_event_id uuid NOT NULL,
	root bytea NOT NULL,
	members bytea,
	members_digest bytea NOT NULL,
	previous bytea NOT NULL,
	public_key bytea NOT NULL,
	key_event_id uuid,
	signature bytea NOT NULL,
	retired_by uuid,
	CONSTRAINT retired_events_are_not_listed CHECK ((members IS NULL) = (retired_by IS NOT NULL))
);
ALTER TABLE usermgmt.audit_seal ALTER COLUMN members SET STORAGE EXTERNAL;
COMMENT ON TABLE usermgmt.audit_seal IS 'Sealed batches of events, each signed and linked to the one before; members lists the events (id, tag of the tenant, beginning of the leaf) until they are retired.';
COMMENT ON COLUMN usermgmt.audit_seal.seal_no IS 'Number of the seal, from 1 without a gap.';
COMMENT ON COLUMN usermgmt.audit_seal.sealed_at IS 'When it was made.';
COMMENT ON COLUMN usermgmt.audit_seal.event_count IS 'How many events it covers.';
COMMENT ON COLUMN usermgmt.audit_seal.first_epoch IS 'Epoch of its first event.';
COMMENT ON COLUMN usermgmt.audit_seal.first_transaction_id IS 'Transaction of its first event.';
COMMENT ON COLUMN usermgmt.audit_seal.first_event_id IS 'Its first event.';
COMMENT ON COLUMN usermgmt.audit_seal.last_epoch IS 'Epoch of its last event.';
COMMENT ON COLUMN usermgmt.audit_seal.last_transaction_id IS 'Transaction of its last event.';
COMMENT ON COLUMN usermgmt.audit_seal.last_event_id IS 'Its last event.';
COMMENT ON COLUMN usermgmt.audit_seal.root IS 'Root of the Merkle tree over the hashes of its events.';
COMMENT ON COLUMN usermgmt.audit_seal.members IS 'Its events in order (id, tag of the tenant, beginning of the hash); NULL once they are retired.';
COMMENT ON COLUMN usermgmt.audit_seal.members_digest IS 'Hash of that list.';
COMMENT ON COLUMN usermgmt.audit_seal.previous IS 'Hash of the seal before.';
COMMENT ON COLUMN usermgmt.audit_seal.public_key IS 'The key that the signature is checked with.';
COMMENT ON COLUMN usermgmt.audit_seal.key_event_id IS 'The event audit.key_changed that introduced the key; NULL for the first.';
COMMENT ON COLUMN usermgmt.audit_seal.signature IS 'Ed25519 signature of the seal.';
COMMENT ON COLUMN usermgmt.audit_seal.retired_by IS 'The event audit.retired that removed its events.';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON usermgmt.audit_seal
	FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.audit_refuse();

CREATE TABLE usermgmt.audit_head (
	one_row boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (one_row),
	seal_no bigint NOT NULL
);
COMMENT ON TABLE usermgmt.audit_head IS 'The number of the last seal, so that a chain that lost its end is noticed.';
COMMENT ON COLUMN usermgmt.audit_head.one_row IS 'Always true: there is one row.';
COMMENT ON COLUMN usermgmt.audit_head.seal_no IS 'Number of the last seal.';

-- Both commitments of every erased event; the event person.erased holds the digest over them.
CREATE TABLE usermgmt.audit_erasure (
	erasure_id uuid NOT NULL,
	tenant_id uuid NOT NULL,
	event_id uuid NOT NULL,
	before bytea NOT NULL,
	after bytea NOT NULL,
	PRIMARY KEY (erasure_id, tenant_id, event_id)
);
COMMENT ON TABLE usermgmt.audit_erasure IS 'Which events a person was erased from (erasure_id is the event person.erased), with the commitment to their personal columns before and after; no personal data.';
COMMENT ON COLUMN usermgmt.audit_erasure.erasure_id IS 'The event person.erased.';
COMMENT ON COLUMN usermgmt.audit_erasure.tenant_id IS 'Tenant of the changed event; all zero for none.';
COMMENT ON COLUMN usermgmt.audit_erasure.event_id IS 'The event that was changed.';
COMMENT ON COLUMN usermgmt.audit_erasure.before IS 'Commitment to its personal columns as they were.';
COMMENT ON COLUMN usermgmt.audit_erasure.after IS 'Commitment to them as they are.';
CREATE INDEX audit_erasure_event ON usermgmt.audit_erasure (event_id);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON usermgmt.audit_erasure
	FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.audit_refuse();

CREATE TABLE usermgmt.audit_sink (
	one_row boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (one_row),
	target regclass NOT NULL
);
COMMENT ON TABLE usermgmt.audit_sink IS 'The application''s own audit table, into which every event goes too; one row or none.';
COMMENT ON COLUMN usermgmt.audit_sink.one_row IS 'Always true: there is one row at most.';
COMMENT ON COLUMN usermgmt.audit_sink.target IS 'The application''s table.';
SELECT usermgmt.audit_attach('usermgmt.audit_sink', '{audit_sink,target}');
CREATE FUNCTION usermgmt.audit_sink_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.audit_sink_changed() IS 'Trigger: every backend looks at the audit sink anew.';
CREATE TRIGGER signal AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON usermgmt.audit_sink
	FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.audit_sink_changed();

CREATE FUNCTION usermgmt.audit_seal() RETURNS integer
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.audit_seal() IS 'Seals the events of finished transactions and says how many; 0 at once while somebody else seals; run_maintenance() does it too.';

CREATE FUNCTION usermgmt.audit_verify(tenant text DEFAULT NULL)
	RETURNS TABLE (seal_no bigint, event_id uuid, problem text)
	LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.audit_verify(text) IS 'Recomputes every seal and names what does not fit, no row when all is intact; of one tenant (slug or id) only that one''s events; UM002.';

CREATE FUNCTION usermgmt.audit_checkpoint() RETURNS text
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.audit_checkpoint() IS 'Seals, and gives a signed line about the end of the chain, to be kept outside this server; 55000 while nothing is sealed.';

CREATE FUNCTION usermgmt.audit_verify_checkpoint(checkpoint text)
	RETURNS TABLE (seal_no bigint, event_id uuid, problem text)
	LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.audit_verify_checkpoint(text) IS 'As audit_verify() up to the checkpoint, and whether its seal stands in this chain as it did then; 22023 when it is no genuine checkpoint.';

CREATE FUNCTION usermgmt.names_address(said text, addresses text[]) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.names_address(text, text[]) IS 'Internal: whether a text holds one of the addresses (in lower case), not as part of a longer one.';

CREATE FUNCTION usermgmt.erase_person(user_id uuid, reason text DEFAULT NULL) RETURNS integer
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.erase_person(uuid, text) IS 'An operator erases the personal data of somebody whose account is closed, everywhere and in the trail, which stays verifiable; how many events changed; UM002, UM036, 25000.';

CREATE FUNCTION usermgmt.audit_retire(before timestamptz, reason text DEFAULT NULL) RETURNS integer
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.audit_retire(timestamptz, text) IS 'Removes the events that were sealed before then, keeps their seals and writes a tombstone; how many events; 55000 when the trail does not verify; 22023, 25000.';

CREATE FUNCTION usermgmt.set_audit_sink(target regclass) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.set_audit_sink(regclass) IS 'From now on every event goes into this table of the application too, in the columns that have the names of those of audit_trail; NULL ends that; 22023, 42501, 42804.';

INSERT INTO usermgmt.access_privilege (access, object_kind, object_name) VALUES
	('operator', 'function', 'set_audit_sink'),
	('operator', 'relation', 'audit_sink'),
	('operator', 'function', 'audit_retire'),
	('operator', 'function', 'erase_person'),
	('operator', 'relation', 'audit_erasure'),
	('operator', 'function', 'audit_seal'),
	('operator', 'function', 'audit_verify'),
	('auditor', 'function', 'audit_verify'),
	('operator', 'function', 'audit_checkpoint'),
	('operator', 'function', 'audit_verify_checkpoint'),
	('auditor', 'function', 'audit_verify_checkpoint'),
	('operator', 'relation', 'audit_seal'),
	('operator', 'relation', 'audit_head'),
	('application', 'relation', 'audit_trail'),
	('auditor', 'relation', 'audit_trail'),
	('auditor', 'relation', 'audit_event_detail'),
	('auditor', 'function', 'events_since'),
	('operator', 'function', 'events_since'),
	('operator', 'relation', 'audit_event_detail'),
	('operator', 'relation', 'audit_event');
