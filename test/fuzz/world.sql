-- What the argument fuzzer adds to the world of the permission matrix: tables of
-- every kind, tokens that are nearly right, and what tries many calls at once.

SELECT format('CREATE ROLE %I LOGIN', 'fuzz_nobody') WHERE to_regrole('fuzz_nobody') IS NULL \gexec
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET usermgmt.hash_memory = 19456', current_database()); END $$;
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET usermgmt.hash_passes = 2', current_database()); END $$;

CREATE SCHEMA fuzz;
GRANT USAGE ON SCHEMA fuzz TO PUBLIC;
CREATE TABLE fuzz.plain (plain_id integer PRIMARY KEY, tenant_id uuid, owner_id uuid, workspace_id uuid, "a ""b" text, j jsonb, xid xid);
CREATE TABLE fuzz.keyless (tenant_id uuid, owner_id text);
CREATE TABLE fuzz.empty ();
CREATE TABLE fuzz.text_owner (id text COLLATE "C" PRIMARY KEY, tenant_id text, owner_id varchar(10));
CREATE TABLE fuzz.parted (id integer, tenant_id uuid, owner_id uuid, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE fuzz.part PARTITION OF fuzz.parted FOR VALUES FROM (0) TO (10);
CREATE TABLE fuzz.nested PARTITION OF fuzz.parted FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
CREATE TABLE fuzz.parent (id integer PRIMARY KEY, tenant_id uuid, owner_id uuid);
CREATE TABLE fuzz.child (PRIMARY KEY (id)) INHERITS (fuzz.parent);
CREATE UNLOGGED TABLE fuzz.unlogged (id integer PRIMARY KEY, tenant_id uuid);
CREATE DOMAIN fuzz.odd_uuid AS uuid CHECK (VALUE <> '00000000-0000-0000-0000-000000000000');
CREATE TABLE fuzz.domains (id fuzz.odd_uuid PRIMARY KEY, tenant_id fuzz.odd_uuid, owner_id fuzz.odd_uuid);
CREATE TYPE fuzz.pair AS (a integer, b uuid);
CREATE TABLE fuzz.composite (id fuzz.pair PRIMARY KEY, tenant_id uuid, owner_id uuid, all_ids uuid[]);
CREATE TABLE fuzz.dropped (gone integer, id integer PRIMARY KEY, gone_too text, tenant_id uuid, owner_id uuid);
ALTER TABLE fuzz.dropped DROP COLUMN gone, DROP COLUMN gone_too;
CREATE TABLE fuzz.generated (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant_id uuid, owner_id uuid, twice text GENERATED ALWAYS AS (owner_id::text) STORED);
CREATE TABLE fuzz.sink (event_id uuid, action text, object_id text, old jsonb, new jsonb);
CREATE TABLE fuzz.wrong_sink (action integer);
CREATE VIEW fuzz.view AS SELECT * FROM fuzz.plain;
CREATE MATERIALIZED VIEW fuzz.materialized AS SELECT * FROM fuzz.plain;
CREATE SEQUENCE fuzz.sequence;
CREATE FOREIGN DATA WRAPPER fuzz_wrapper;
CREATE SERVER fuzz_server FOREIGN DATA WRAPPER fuzz_wrapper;
CREATE FOREIGN TABLE fuzz.foreign_table (id integer, tenant_id uuid) SERVER fuzz_server;
DO $$
DECLARE
	t regclass;
BEGIN
	FOR t IN SELECT oid FROM pg_class WHERE relnamespace = 'fuzz'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') LOOP
		EXECUTE format('ALTER TABLE %s OWNER TO operator', t);
	END LOOP;
END $$;

-- A token with one character changed, which is at most six bits.
CREATE FUNCTION fuzz.flip(token text, n integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT overlay(token PLACING CASE substr(token, 1 + n % length(token), 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM 1 + n % length(token) FOR 1)
$$;

-- What each of these calls gave: 'ok', or the SQLSTATE and the message. Those that
-- are kept stay done, the others are undone.
CREATE FUNCTION fuzz.attempt(calls text[], kept boolean[]) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	outcomes text[] := '{}';
BEGIN
	FOR i IN 1 .. cardinality(calls) LOOP
		BEGIN
			EXECUTE calls[i];
			IF NOT kept[i] THEN
				RAISE SQLSTATE 'XX999';
			END IF;
			outcomes := outcomes || 'ok'::text;
		EXCEPTION WHEN OTHERS THEN
			outcomes := outcomes || CASE SQLSTATE WHEN 'XX999' THEN 'ok' ELSE concat(SQLSTATE, ' ', left(SQLERRM, 300)) END;
		END;
	END LOOP;
	RETURN outcomes;
END $$;
