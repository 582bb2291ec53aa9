-- The CHECK constraints of a table are read once, and are those that the table
-- has at the moment, whoever changed them and whatever was kept before.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('acme') AS acme_id \gset
-- Which constraint a statement breaks; NULL if none.
CREATE FUNCTION pg_temp.breaks(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	name text;
BEGIN
	EXECUTE statement;
	RETURN NULL;
EXCEPTION WHEN check_violation THEN
	GET STACKED DIAGNOSTICS name = CONSTRAINT_NAME;
	RETURN name;
END $$;
PREPARE rename_ann AS UPDATE usermgmt.invitation SET name = 'Bob' WHERE email = 'ann@acme.test';
SELECT pg_temp.invite('ann@acme.test') AS ann_id \gset
SELECT pg_temp.breaks(format('UPDATE usermgmt.invitation SET name = %L', n)) AS x FROM generate_series(1, 3) AS n \g /dev/null
EXECUTE rename_ann;

SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET accepted_at = now()$$), 'accepted_says_when', 'a constraint is reported by its name');
SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET revoke_reason = 'x'$$), 'only_revoked_says_why', 'each by its own');
SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET name = 'Ann'$$), NULL, 'and a good row breaks none');

ALTER TABLE usermgmt.invitation RENAME CONSTRAINT accepted_says_when TO zz_accepted_says_when;
SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET accepted_at = now()$$), 'zz_accepted_says_when', 'a new name is reported');
ALTER TABLE usermgmt.invitation RENAME CONSTRAINT zz_accepted_says_when TO accepted_says_when;

SAVEPOINT added;
ALTER TABLE usermgmt.invitation ADD CONSTRAINT nobody_is_bob CHECK (name <> 'Bob');
SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET name = 'Bob'$$), 'nobody_is_bob', 'a new constraint holds');
SELECT throws_ok('EXECUTE rename_ann', '23514', NULL, 'also for a statement that was prepared before');
SELECT throws_ok($$SELECT usermgmt.invite_user('bob@acme.test', name => 'Bob')$$, '23514', NULL, 'and for functions');
SELECT lives_ok($$SELECT usermgmt.invite_user('carol@acme.test', name => 'Carol')$$, 'which it does not stand in the way of');
ROLLBACK TO SAVEPOINT added;
SELECT lives_ok('EXECUTE rename_ann', 'what was rolled back holds no more');

ALTER TABLE usermgmt.invitation ADD CONSTRAINT nobody_is_bob CHECK (name <> 'Bob') NOT VALID;
SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET name = 'Bob'$$), 'nobody_is_bob', 'one that is not validated holds for new rows');
ALTER TABLE usermgmt.invitation DROP CONSTRAINT nobody_is_bob;
ALTER TABLE usermgmt.invitation ADD CONSTRAINT nobody_is_bob CHECK (name <> 'Rob') NOT VALID;
SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET name = 'Bob'$$), NULL, 'another one of that name has its own meaning');
SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET name = 'Rob'$$), 'nobody_is_bob', 'that holds');
ALTER TABLE usermgmt.invitation DROP CONSTRAINT nobody_is_bob;

-- More than eight values are looked up in a hash table, made at the first row.
ALTER TABLE usermgmt.invitation ADD CONSTRAINT one_of_ten CHECK (name IN ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j')) NOT VALID;
SELECT is(pg_temp.breaks(format('UPDATE usermgmt.invitation SET name = %L', n)), CASE WHEN n = 'z' THEN 'one_of_ten' END, 'a long list holds: ' || n)
FROM unnest('{a,z,j,z}'::text[]) AS n;
ALTER TABLE usermgmt.invitation DROP CONSTRAINT one_of_ten;

-- PostgreSQL writes the body of a function that is an expression into the constraint when it reads it.
CREATE FUNCTION pg_temp.is_welcome(name text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$SELECT name <> 'Bob'$$;
ALTER TABLE usermgmt.invitation ADD CONSTRAINT all_are_welcome CHECK (pg_temp.is_welcome(name)) NOT VALID;
SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET name = 'Bob'$$), 'all_are_welcome', 'a constraint may call a function');
CREATE OR REPLACE FUNCTION pg_temp.is_welcome(name text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$SELECT name <> 'Rob'$$;
SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET name = 'Bob'$$), NULL, 'which can be replaced');
SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET name = 'Rob'$$), 'all_are_welcome', 'and its new meaning holds');
SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET accepted_at = now()$$), 'accepted_says_when', 'beside the others');
ALTER TABLE usermgmt.invitation DROP CONSTRAINT all_are_welcome;

CREATE DOMAIN pg_temp.welcome AS text;
ALTER TABLE usermgmt.invitation ADD CONSTRAINT names_are_welcome CHECK (length(name::pg_temp.welcome) > 0) NOT VALID;
SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET name = ''$$), 'names_are_welcome', 'a constraint may use a domain');
ALTER DOMAIN pg_temp.welcome ADD CONSTRAINT rob_is_not CHECK (VALUE <> 'Rob');
SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET name = 'Rob'$$), 'rob_is_not', 'which can be changed');
ALTER TABLE usermgmt.invitation DROP CONSTRAINT names_are_welcome;

ALTER TABLE usermgmt.invitation ADD COLUMN height integer CHECK (height > 0);
SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET height = -1$$), 'invitation_height_check', 'a column that somebody added has its constraint');
ALTER TABLE usermgmt.invitation ALTER COLUMN height TYPE bigint;
SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET height = 5000000000$$), NULL, 'one of another type is compared as that');
SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET height = -5000000000$$), 'invitation_height_check', 'on either side');
ALTER TABLE usermgmt.invitation DROP COLUMN height;
SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET name = 'Ann'$$), NULL, 'and a dropped one by nothing');

-- A statement within a statement on the same table, and the rest of the outer one.
CREATE TABLE pg_temp.seen (broken text);
CREATE FUNCTION pg_temp.meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.name = 'first' THEN
		UPDATE usermgmt.invitation SET name = 'inner' WHERE email = 'eve@acme.test';
		INSERT INTO pg_temp.seen VALUES (pg_temp.breaks($s$UPDATE usermgmt.invitation SET revoke_reason = 'x' WHERE email = 'eve@acme.test'$s$));
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER meddle BEFORE UPDATE ON usermgmt.invitation FOR EACH ROW EXECUTE FUNCTION pg_temp.meddle();
SELECT pg_temp.invite(n || '@acme.test') AS x FROM unnest('{eve,fay,guy}'::text[]) AS n \g /dev/null
SELECT is(pg_temp.breaks($$UPDATE usermgmt.invitation SET name = v.name
	FROM (VALUES ('fay@acme.test', 'first'), ('guy@acme.test', 'second')) AS v (email, name)
	WHERE invitation.email = v.email$$), NULL, 'a statement goes on after one within it');
SELECT results_eq('SELECT broken FROM pg_temp.seen', $$VALUES ('only_revoked_says_why')$$, 'which has met the constraint');
SELECT results_eq($$SELECT name FROM usermgmt.invitation WHERE email IN ('eve@acme.test', 'fay@acme.test', 'guy@acme.test') ORDER BY email$$,
	$$VALUES ('inner'), ('first'), ('second')$$, 'all rows are there');

-- A constraint that was renamed in the middle of a statement comes in another order, which the statement within reads.
CREATE TABLE usermgmt.renamed (id integer CONSTRAINT id_counts CHECK (id > 0), name text CONSTRAINT a_good_name CHECK (name <> 'bad'));
CREATE TABLE usermgmt.beside (name text CONSTRAINT a CHECK (name <> 'axe'), CONSTRAINT b CHECK (name <> 'bee'), CONSTRAINT c CHECK (name <> 'cat'));
INSERT INTO usermgmt.renamed VALUES (1, 'one'), (2, 'two'), (3, 'three');
CREATE FUNCTION pg_temp.rename() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.id = 1 THEN
		ALTER TABLE usermgmt.renamed RENAME CONSTRAINT a_good_name TO z_good_name;
		UPDATE usermgmt.renamed SET name = 'within' WHERE id = 3;
		INSERT INTO usermgmt.beside VALUES ('dog');
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER rename BEFORE UPDATE ON usermgmt.renamed FOR EACH ROW EXECUTE FUNCTION pg_temp.rename();
SELECT throws_ok($$UPDATE usermgmt.renamed SET name = CASE id WHEN 2 THEN 'bad' ELSE 'good' END WHERE id < 3$$, '23514', NULL, 'a statement goes on with the constraints it began with');

-- What vanishes takes its constraint along, even in the middle of a statement.
CREATE COLLATION pg_temp.mine FROM "C";
CREATE TABLE usermgmt.less (name text, CONSTRAINT a_first CHECK (name COLLATE pg_temp.mine <> 'first'), CONSTRAINT b_second CHECK (name <> 'second'));
CREATE FUNCTION pg_temp.drop_collation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DROP COLLATION IF EXISTS pg_temp.mine CASCADE;
	RETURN NULL;
END $$;
CREATE TRIGGER drop_collation BEFORE INSERT ON usermgmt.less EXECUTE FUNCTION pg_temp.drop_collation();
SELECT is(pg_temp.breaks($$INSERT INTO usermgmt.less VALUES ('second')$$), 'b_second', 'one that stays holds');
SELECT is(pg_temp.breaks($$INSERT INTO usermgmt.less VALUES ('first')$$), NULL, 'one that vanished does not');

-- The lexemes of a constant are looked up when the constraint is read.
CREATE TEXT SEARCH CONFIGURATION pg_temp.words (COPY = pg_catalog.english);
CREATE TABLE usermgmt.found (name text CONSTRAINT about_cats CHECK (to_tsvector('pg_temp.words', name) @@ to_tsquery('pg_temp.words', 'cats')));
SELECT is(pg_temp.breaks($$INSERT INTO usermgmt.found VALUES ('cat')$$), NULL, 'a constraint may search text');
ALTER TEXT SEARCH CONFIGURATION pg_temp.words ALTER MAPPING FOR asciiword WITH simple;
SELECT is(pg_temp.breaks($$INSERT INTO usermgmt.found VALUES ('cat')$$), 'about_cats', 'of which the configuration can be changed');
SELECT is(pg_temp.breaks($$INSERT INTO usermgmt.found VALUES ('cats')$$), NULL, 'and holds for what is searched and what for');

-- PostgreSQL puts the negator in the place of an operator that is negated.
CREATE FUNCTION pg_temp.differs(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 <> $2';
CREATE OPERATOR pg_temp.=== (FUNCTION = texteq, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR pg_temp.!=== (FUNCTION = pg_temp.differs, LEFTARG = text, RIGHTARG = text, NEGATOR = OPERATOR(pg_temp.===));
CREATE TABLE usermgmt.negated (name text CONSTRAINT not_bob CHECK (NOT name OPERATOR(pg_temp.===) 'Bob'));
SELECT is(pg_temp.breaks($$INSERT INTO usermgmt.negated VALUES ('Bob')$$), 'not_bob', 'an operator may be negated');
DROP OPERATOR pg_temp.!=== (text, text);
DROP FUNCTION pg_temp.differs(text, text);
SELECT is(pg_temp.breaks($$INSERT INTO usermgmt.negated VALUES ('Bob')$$), 'not_bob', 'also without its negator');

SELECT * FROM finish();
ROLLBACK;
