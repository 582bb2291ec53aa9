# Attached tables through dumps and restores: nothing fires, everything is still
# attached, and detaching leaves what there was before.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('attached');
$node->safe_psql('app', q(SELECT usermgmt.create_tenant('acme', 'Acme', 'owner@acme.example')));
my ($ann, $ann_session) = join_tenant($node, 'app', 'acme', 'ann@acme.example', 'admin');
my ($bob) = join_tenant($node, 'app', 'acme', 'bob@acme.example');
my $acme = $node->safe_psql('app', 'SELECT tenant_id FROM usermgmt.tenant');
my @tables = ('public.lead', 'sales."Big Deal"', 'public.visit', 'public.guarded');

$node->safe_psql('app', <<'SQL');
CREATE ROLE seller;
CREATE SCHEMA sales;
CREATE TABLE lead (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, gone integer, tenant uuid NOT NULL, owner uuid, name text CHECK (name <> ''), api_key text);
ALTER TABLE lead DROP COLUMN gone;
COMMENT ON TABLE lead IS 'Leads';
COMMENT ON COLUMN lead.name IS 'Who';
CREATE INDEX lead_owner ON lead (tenant, owner);
GRANT SELECT ON lead TO seller;
CREATE TABLE sales."Big Deal" ("Id" integer PRIMARY KEY, "Tenant" uuid, "Owner" text);
CREATE TABLE visit (id integer, tenant uuid, owner uuid, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE visit_2025 PARTITION OF visit FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE visit_rest PARTITION OF visit DEFAULT;
ALTER TABLE visit_rest ENABLE ROW LEVEL SECURITY;
CREATE TABLE guarded (id integer PRIMARY KEY, tenant uuid, workspace uuid);
CREATE POLICY own ON guarded FOR SELECT TO seller USING (id > 0);
COMMENT ON POLICY own ON guarded IS 'Theirs';
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON guarded FOR EACH ROW EXECUTE FUNCTION touch();
SQL

# The definitions of the application's tables, as pg_dump writes them.
sub definitions
{
	my ($database) = @_;
	my ($out, $err) = run_command([ 'pg_dump', '-s', '-d', $node->connstr($database), '-N', 'usermgmt' ]);

	is($err, '', "pg_dump of $database has nothing to say");
	$out =~ s/^\\(un)?restrict .*$//mg;
	return $out;
}

sub rows
{
	my ($database) = @_;

	return join "\n", map { $node->safe_psql($database, "SELECT to_json(t)::text FROM $_ AS t ORDER BY to_json(t)::text COLLATE \"C\"") }
	  @tables, 'usermgmt.audit_event', 'usermgmt.membership', 'usermgmt.outbox';
}

sub attached
{
	my ($database) = @_;

	return $node->safe_psql($database, 'SELECT * FROM usermgmt.attached_tables');
}

my $attach = <<'SQL';
SELECT usermgmt.attach_table('lead', 'tenant', owner_column => 'owner', redact => '{api_key}', isolate => true);
SELECT usermgmt.attach_table('sales."Big Deal"', 'Tenant', owner_column => 'Owner');
SELECT usermgmt.attach_table('visit', 'tenant', owner_column => 'owner', isolate => true);
SELECT usermgmt.attach_table('guarded', 'tenant', 'workspace', isolate => true);
SQL
my $detach = join "\n", map { "SELECT usermgmt.detach_table('$_');" } @tables;
my $before = definitions('app');
$node->safe_psql('app', $attach);
my $after = definitions('app');
isnt($after, $before, 'B7: attaching changes the definition');
$node->safe_psql('app', $detach);
is(definitions('app'), $before, 'B7: detaching leaves, to pg_dump, exactly what there was: row security, policies, comments, privileges');

$node->safe_psql('app', $attach . <<"SQL");
INSERT INTO lead (tenant, owner, name, api_key) SELECT '$acme', '$bob', 'lead ' || n, 'secret ' || n FROM generate_series(1, 50) AS n;
INSERT INTO sales."Big Deal" SELECT n, '$acme', '$bob' FROM generate_series(1, 50) AS n;
INSERT INTO visit SELECT n, '$acme', '$bob', date '2025-12-01' + n FROM generate_series(1, 50) AS n;
INSERT INTO guarded SELECT n, '$acme' FROM generate_series(1, 50) AS n;
ALTER TABLE lead RENAME COLUMN api_key TO "api ""key""";
ALTER TABLE sales."Big Deal" RENAME COLUMN "Owner" TO "Whose";
SQL
my ($rows, $attached, $definitions) = (rows('app'), attached('app'), definitions('app'));
is($node->safe_psql('app', 'SELECT count(*) FROM usermgmt.attached_tables WHERE problem IS NULL'), 4, 'B7: renamed, nothing is wrong');

my $dumps = PostgreSQL::Test::Utils::tempdir;
my @from = ('-d', $node->connstr('app'));
run_log([ 'pg_dump', '-Fp', '-f', "$dumps/plain", @from ]) or die;
run_log([ 'pg_dump', '-Fc', '-f', "$dumps/custom", @from ]) or die;

# Section by section, for pg_restore may make the triggers of a partitioned table
# before it fills a partition.
my %restore = (
	plain => sub { [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $_[0], '-f', "$dumps/plain" ] },
	parallel => sub {
		my ($into) = @_;
		return map { [ 'pg_restore', '-e', '-j4', "--section=$_", '-d', $into, "$dumps/custom" ] } 'pre-data', 'data', 'post-data';
	},
	clone => undef);

foreach my $name (sort keys %restore)
{
	my $database = "copy_$name";

	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE " . ($restore{$name} ? 'template0' : 'app'));
	ok(run_log($_), "B13: the $name restore ends without an error") foreach $restore{$name} ? $restore{$name}->($node->connstr($database)) : ();
	is(rows($database), $rows, "B13: the $name restore fires nothing: no row changed, no event more");
	is(attached($database), $attached, "B7, B13: every table of the $name copy is attached as it was");
	is(definitions($database), $definitions, "B13: and defined as it was, in the $name copy");

	# The first to write in the copy is the application.
	my $copy = connection($node, $database);
	is(sqlstate($copy, "INSERT INTO lead (tenant, owner, name) VALUES ('$acme', '$acme', 'x')"), 'UM037', "B8: owners are looked at in the $name copy");
	ask($copy, "UPDATE lead SET name = 'renamed', \"api \"\"key\"\"\" = 'new' WHERE id = 1");
	like($copy->{stderr}, qr/WARNING:.*restored copy/, "B12: that adopts the $name copy");
	is(ask($copy, "SELECT old, new FROM usermgmt.audit_event WHERE action = 'public.lead.updated'"),
		'{"name": "lead 1"}|{"name": "renamed"}', "B6: changes of the $name copy are audited, without the redacted column");
	is(ask($copy, "SELECT usermgmt.use_tenant('acme') \\g /dev/null
SELECT resources FROM usermgmt.remove_user('$bob', confirm => true)"),
		'{"public.lead": 50, "public.visit": 50, "sales.Big Deal": 50}', "B8: rows are handed over in the $name copy");
	$copy->quit;
	$node->safe_psql($database, $detach . 'ALTER TABLE lead RENAME COLUMN "api ""key""" TO api_key; ALTER TABLE sales."Big Deal" RENAME COLUMN "Whose" TO "Owner"');
	is(definitions($database), $before, "B7, B13: the tables of the $name copy can be detached, and are what they were");
}

# One table alone, without the extension's rows.
$node->safe_psql('postgres', 'CREATE DATABASE alone TEMPLATE template0');
$node->safe_psql('alone', 'CREATE EXTENSION usermgmt; CREATE ROLE seller_alone');
run_log([ 'pg_dump', '-t', 'lead', '-f', "$dumps/lead", @from ]) or die;
ok(run_log([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('alone'), '-f', "$dumps/lead" ]), 'B13: a table can be restored alone');
is($node->safe_psql('alone', 'SELECT target, redact, problem IS NULL FROM usermgmt.attached_tables; SELECT count(*) FROM usermgmt.audit_event'),
	"lead|{\"api \\\"key\\\"\"}|t\n0", 'B7: and is attached');

# Dropping.
$node->safe_psql('app', 'DROP TABLE visit_2025; DROP TABLE sales."Big Deal"');
is($node->safe_psql('app', 'SELECT count(*), count(problem) FROM usermgmt.attached_tables'), '3|0', 'B7: a dropped table or partition leaves nothing behind');
my ($code, $out, $err) = $node->psql('app', 'DROP EXTENSION usermgmt');
like($err, qr/trigger usermgmt_columns on table lead depends on function/, 'the extension is not dropped from under attached tables');
$node->safe_psql('app', 'DROP EXTENSION usermgmt CASCADE; UPDATE lead SET name = name');
is($node->safe_psql('app', q(SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'usermgmt%')), 0, 'but with CASCADE, which takes the triggers along');
$node->stop;
done_testing();
