# What somebody prepared in a database before the install script ran, or puts in
# the way of a caller later, is never run by it or by us.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('hijack', empty => 1);

# A twin of every ordinary function and operator of pg_catalog, which raises when
# it runs; the database's owner has them found before the true ones.
my $twins = <<'SQL';
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
DO $$
DECLARE
	o record;
BEGIN
	FOR o IN SELECT p.proname, pg_get_function_identity_arguments(p.oid) AS arguments, format_type(p.prorettype, NULL) AS result FROM pg_proc AS p
		WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset AND p.provariadic = 0
			AND p.prorettype NOT IN (SELECT oid FROM pg_type WHERE typtype = 'p' AND typname <> 'void')
			AND NOT p.proargtypes::oid[] && ARRAY(SELECT oid FROM pg_type WHERE typtype = 'p' AND typname !~ '^any') LOOP
		BEGIN
			EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', o.proname, o.arguments, o.result,
				'BEGIN RAISE SQLSTATE ''HJ000''; END');
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
	END LOOP;
	FOR o IN SELECT p.oprname, format_type(p.oprleft, NULL) AS l, format_type(p.oprright, NULL) AS r, p.oprkind, format_type(p.oprresult, NULL) AS result, p.oid
		FROM pg_operator AS p WHERE p.oprnamespace = 'pg_catalog'::regnamespace LOOP
		BEGIN
			EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', 'operator_' || o.oid, concat_ws(', ', CASE WHEN o.oprkind = 'b' THEN o.l END, o.r), o.result,
				'BEGIN RAISE SQLSTATE ''HJ000''; END');
			EXECUTE format('CREATE OPERATOR evil.%s (%s RIGHTARG = %s, FUNCTION = evil.%I)', o.oprname,
				CASE WHEN o.oprkind = 'b' THEN format('LEFTARG = %s,', o.l) ELSE '' END, o.r, 'operator_' || o.oid);
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
	END LOOP;
END $$;
CREATE VIEW evil.pg_class AS SELECT 1 / 0 AS oid;
CREATE DOMAIN evil.text AS pg_catalog.text CHECK (false);
CREATE DOMAIN evil.uuid AS pg_catalog.uuid CHECK (false);
CREATE DOMAIN evil.jsonb AS pg_catalog.jsonb CHECK (false);
SELECT format('ALTER DATABASE %I SET search_path = evil, pg_catalog', current_database()) \gexec
SQL

$node->safe_psql('postgres', 'CREATE ROLE mallory LOGIN');
$node->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE template0 OWNER mallory") foreach 'made', 'twins', 'clean', 'odd', 'world';

my ($code, $out, $err) = $node->psql('made', 'CREATE SCHEMA usermgmt; CREATE TABLE usermgmt.account (user_id integer)', extra_params => [ '-U', 'mallory' ]);
is($code, 0, 'the owner of a database makes a schema of our name');
($code, $out, $err) = $node->psql('made', "CREATE EXTENSION usermgmt");
like($err, qr/schema "usermgmt" already exists/, 'R22: the install script refuses a schema that somebody made before it');
is($node->safe_psql('made', "SELECT count(*) FROM pg_proc WHERE pronamespace = 'usermgmt'::regnamespace"), '0', 'R22: and leaves nothing in it');
($code, $out, $err) = $node->psql('made', "CREATE EXTENSION usermgmt SCHEMA public");
like($err, qr/must be installed in schema/, 'R22: nor goes into another schema');

is($node->psql('twins', $twins, extra_params => [ '-U', 'mallory' ]), 0, 'there are twins');
my $count = $node->safe_psql('twins', "SET search_path = pg_catalog; SELECT count(*) FROM pg_proc WHERE pronamespace = 'evil'::regnamespace");
cmp_ok($count, '>', 2500, 'there are many');
($code, $out, $err) = $node->psql('twins', "SELECT pg_catalog.pg_backend_pid() = 1", extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
like($err, qr/HJ000/, 'and they are found first');
is($node->psql('twins', 'CREATE EXTENSION usermgmt'), 0, 'R22: the install script runs none of them');
$node->safe_psql('clean', 'CREATE EXTENSION usermgmt');
my $inventory = "SET search_path = pg_catalog; SELECT kind, name, definition FROM usermgmt.inventory WHERE kind <> 'extension' ORDER BY 1, 2, 3";
is($node->safe_psql('twins', $inventory), $node->safe_psql('clean', $inventory), 'R22: and what it makes is the same, name by name');
is($node->safe_psql('twins', <<'SQL'), '0', 'R22: nothing of ours depends on a twin');
SET search_path = pg_catalog;
SELECT count(*) FROM pg_depend AS d, (
	SELECT 'pg_proc'::regclass AS class, oid FROM pg_proc WHERE pronamespace = 'evil'::regnamespace
	UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator WHERE oprnamespace = 'evil'::regnamespace
	UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typnamespace = 'evil'::regnamespace
) AS e WHERE (d.refclassid, d.refobjid) = (e.class, e.oid) AND d.classid <> 'pg_constraint'::regclass AND NOT (d.classid, d.objid) IN (
	SELECT 'pg_operator'::regclass, oid FROM pg_operator WHERE oprnamespace = 'evil'::regnamespace
	UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typnamespace = 'evil'::regnamespace)
SQL

# The database's settings change neither what the script says nor what it makes.
my %odd = (
	standard_conforming_strings => 'off',  backslash_quote => 'off',       DateStyle => '\'German\'', IntervalStyle => 'iso_8601',
	TimeZone => '\'Asia/Kathmandu\'', bytea_output => 'escape',           extra_float_digits => '-15',
	array_nulls => 'off',            transform_null_equals => 'on',       quote_all_identifiers => 'on',
	xmloption => 'document',         check_function_bodies => 'off',      row_security => 'off',
	default_transaction_isolation => 'serializable',                      default_transaction_deferrable => 'on');
$node->safe_psql('postgres', join ';', map { "ALTER DATABASE odd SET $_ = $odd{$_}" } keys %odd);
($code, $out, $err) = $node->psql('odd', 'CREATE EXTENSION usermgmt');
is("$code$err", '0', 'R22: the install script means the same whatever the settings of the database');
is($node->safe_psql('odd', $inventory), $node->safe_psql('clean', $inventory), 'R22: and makes the same');
is($node->safe_psql('odd', "SELECT problem FROM usermgmt.\"check\"() WHERE severity = 'error'"), '', 'R18: check() agrees');

# Later: whoever calls has the twins before the true ones.
$node->safe_psql('world', 'SET client_min_messages = error; CREATE EXTENSION usermgmt');
$node->safe_psql('world', slurp_file("$FindBin::Bin/lib/permissions.sql"));
my @calls = split /\n/, $node->safe_psql('world', <<'SQL');
ALTER FUNCTION probe.of(text) SET search_path = pg_catalog;
ALTER FUNCTION probe.id(text) SET search_path = pg_catalog;
SELECT format('SELECT FROM usermgmt.%I(%s)', name, array_to_string(arguments, ', '))
	FROM probe.public_function AS f JOIN probe.call AS c ON c.function = f.name
UNION ALL SELECT format('SELECT * FROM usermgmt.%I', name) FROM probe.public_relation WHERE relkind = 'v'
UNION ALL SELECT format('SELECT * FROM usermgmt.%I()', n) FROM unnest(ARRAY['inventory_now', 'check_references']) AS n
ORDER BY 1
SQL
s/\b(now|clock_timestamp)\(\)/pg_catalog.$1()/ foreach @calls;
is($node->psql('world', $twins, extra_params => [ '-U', 'mallory' ]), 0, 'there are twins here too');
my %token = ('admin' => 'acme_ann_token', 'owner' => 'acme_owner_token', 'member' => 'acme_bob_token');
foreach my $who ('postgres', 'operator', 'relay', 'auditor', 'member', 'admin', 'owner')
{
	my $script = $who =~ /^(?:postgres|operator)$/ ? "SELECT FROM usermgmt.use_tenant('acme');\n" : '';
	foreach my $call (@calls)
	{
		my $bind = $token{$who} ? "SELECT FROM usermgmt.use_session(probe.of('$token{$who}'));\n" : '';
		$script .= "BEGIN;\nSET LOCAL search_path = evil, pg_catalog;\n$bind$call;\n\\echo :SQLSTATE $call\nROLLBACK;\n";
	}
	($code, $out, $err) = $node->psql('world', $script, on_error_stop => 0, extra_params => [ '-U', $token{$who} ? 'application' : $who ]);
	my @done = $out =~ /^\w{5} SELECT/mg;
	is(scalar @done, scalar @calls, "every call was made ($who)");
	my @hijacked = grep { /^HJ000/ } split /\n/, $out;
	is(join("\n", @hijacked), '', "R22: no function and no view runs a caller's twin ($who)");
	cmp_ok(scalar(grep { /^00000 SELECT/ } split /\n/, $out), '>', $who eq 'relay' ? 3 : 20, "many of them did what they are for ($who)");
}
diag("R22: 0 of $count twins of PostgreSQL's functions and operators ran, at install or in " . @calls . ' calls of each kind of caller');

$node->stop;
done_testing();
