-- Forgeries of tokens: what the attacks of session_spoofing.pl are made of.
CREATE SCHEMA forge;
GRANT USAGE ON SCHEMA forge TO PUBLIC;

-- The token with one bit of one character's six turned.
CREATE FUNCTION forge.flipped(token text) RETURNS SETOF text LANGUAGE sql IMMUTABLE AS $$
	SELECT overlay(token PLACING substr(a.letters, (strpos(a.letters, substr(token, at, 1)) - 1 # (1 << bit)) + 1, 1) FROM at FOR 1)
	FROM (VALUES ('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')) AS a (letters),
		generate_series(1, length(token)) AS at, generate_series(0, 5) AS bit
$$;
-- The beginning of one and the end of another, at every place.
CREATE FUNCTION forge.spliced(one text, other text) RETURNS SETOF text LANGUAGE sql IMMUTABLE AS $$
	SELECT forged FROM generate_series(1, length(one) - 1) AS at, LATERAL (SELECT left(one, at) || substr(other, at + 1)) AS f (forged) WHERE forged <> one AND forged <> other
$$;
-- What is longer, shorter, or written otherwise.
CREATE FUNCTION forge.misspelt(token text) RETURNS SETOF text LANGUAGE sql IMMUTABLE AS $$
	SELECT * FROM unnest(ARRAY[token || 'A', token || '=', token || E'\n', ' ' || token, token || ' ', left(token, -1), left(token, -4), substr(token, 2), lower(token), upper(token), reverse(token),
		token || token, translate(token, '-_', '+/') || '==', '', '"' || token || '"', 'Bearer ' || token]) AS f (forged) WHERE forged <> token
$$;

-- How many of them open anything by this call, of how many. A hash that is
-- reckoned for a genuine link costs time, so calls are ones that reckon none.
CREATE FUNCTION forge.tried(call text, forgeries text[], OUT opened integer, OUT all_of_them integer) LANGUAGE plpgsql AS $$
DECLARE
	forged text;
BEGIN
	opened := 0;
	all_of_them := 0;
	FOREACH forged IN ARRAY forgeries LOOP
		all_of_them := all_of_them + 1;
		BEGIN
			EXECUTE format(call, forged);
			opened := opened + 1;
		EXCEPTION WHEN SQLSTATE 'UM001' OR SQLSTATE 'UM010' THEN
		END;
	END LOOP;
END $$;

-- What a role without rights of its own lays in the way of every name.
CREATE ROLE mallory LOGIN;
SELECT usermgmt.grant_access('mallory', 'application');
CREATE SCHEMA evil AUTHORIZATION mallory;
SET ROLE mallory;
CREATE FUNCTION evil.yes(uuid, uuid) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION evil.yes(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION evil.yes(bytea, bytea) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION evil.yes(timestamptz, timestamptz) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR evil.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = evil.yes);
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.yes);
CREATE OPERATOR evil.= (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = evil.yes);
CREATE OPERATOR evil.> (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = evil.yes);
CREATE OPERATOR evil.<= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = evil.yes);
CREATE FUNCTION evil.current_user_id() RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()';
CREATE FUNCTION evil.tenant_as(text) RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()';
CREATE FUNCTION evil.has_role(text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION evil.acts_without_session() RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$SELECT timestamptz '2000-01-01'$$;
CREATE TABLE evil.session (session_id uuid, tenant_id uuid, user_id uuid, token_hash bytea, role text, email text, state text, expires_at timestamptz);
CREATE TABLE evil.membership (tenant_id uuid, user_id uuid, role text, status text);
RESET ROLE;
