# The sealed trail: what is sealed, in which order, under load, across crashes
# and copies; and every tampering is found.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use UsermgmtTest;

my $tampered = $ENV{TAMPERINGS} // 1000;
my $node = start_node('sealed', streaming => 1, conf => "max_prepared_transactions = 5\nautovacuum = off\n");

sub scalar_of { return $node->safe_psql('app', $_[0]) }
sub problems  { return scalar_of("SELECT count(*) FROM usermgmt.audit_verify($_[0])") }

my $bulk = q(INSERT INTO usermgmt.workspace (tenant_id, workspace_id, slug, name)
	SELECT tenant_id, gen_random_uuid(), 's' || replace(gen_random_uuid()::text, '-', ''), 'Bulk' FROM usermgmt.tenant, generate_series(1, %2$d) WHERE slug = '%1$s');

# An installation that has hardly begun.
is(problems(''), 0, 'R17: an empty trail is intact');
like(($node->psql('app', 'SELECT usermgmt.audit_checkpoint()'))[2], qr/nothing is sealed yet/, 'R17: an empty one has no checkpoint');
is(scalar_of('SELECT usermgmt.audit_seal()'), 0, 'D19: a sealer leaves its own transaction out');
is(scalar_of('SELECT usermgmt.audit_seal()'), 1, 'D19: the next one seals the activation');
is(problems(''), 0, 'R17: a chain of one seal is intact');
scalar_of("SELECT usermgmt.create_tenant('$_', '$_', 'owner\@$_.example')") foreach qw(acme globex);

# D19: sealing stops below the oldest running transaction, prepared ones too.
my $slow = connection($node, 'app');
my $other = connection($node, 'app');
ask($slow, sprintf "BEGIN; $bulk", 'acme', 3);
my $low = ask($slow, 'SELECT pg_current_xact_id()');
scalar_of(sprintf $bulk, 'globex', 50);
scalar_of('SELECT usermgmt.audit_seal()');
is(scalar_of("SELECT count(*) FROM usermgmt.audit_seal WHERE last_transaction_id >= '$low'"), 0, 'D19: nothing above a slow transaction is sealed');
is(scalar_of('SELECT usermgmt.audit_seal()'), 0, 'D19: and the sealer does not wait for it');
ask($slow, "PREPARE TRANSACTION 'slow'");
scalar_of(sprintf $bulk, 'globex', 50);
is(scalar_of('SELECT usermgmt.audit_seal()'), 0, 'D19: nor above a prepared one');
scalar_of("COMMIT PREPARED 'slow'");
is(scalar_of('SELECT usermgmt.audit_seal()'), 103, 'D19: all is sealed once it has ended');
is(scalar_of("SELECT count(*) FROM usermgmt.audit_event AS e JOIN usermgmt.audit_seal AS s ON (e.epoch, e.transaction_id, e.event_id)
	BETWEEN (s.first_epoch, s.first_transaction_id, s.first_event_id) AND (s.last_epoch, s.last_transaction_id, s.last_event_id)
	WHERE e.transaction_id = '$low'"), 3, 'D19: the late events too, at their place');
ask($slow, sprintf "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM usermgmt.audit_event; $bulk", 'acme', 1);
is(problems(''), 0, 'D19: the chain is intact');

# D20: two sealers.
ask($slow, 'ROLLBACK');
scalar_of(sprintf $bulk, 'acme', 20);
is(ask($slow, 'BEGIN; SELECT usermgmt.audit_seal()'), 20, 'D20: one seals');
my $began = time;
is(ask($other, 'SELECT usermgmt.audit_seal()'), 0, 'D20: the other seals nothing');
cmp_ok(time - $began, '<', 2, 'D20: and does not wait');
ask($slow, 'ROLLBACK');
is(ask($other, 'SELECT usermgmt.audit_seal()'), 20, 'D20: what a sealer gave up is sealed by the next');
is(ask($slow, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) > 0 FROM usermgmt.audit_seal"), 't', 'D20: an old snapshot');
scalar_of(sprintf($bulk, 'acme', 2) . '; SELECT usermgmt.audit_seal(); ' . sprintf($bulk, 'acme', 1));
is(sqlstate($slow, 'SELECT usermgmt.audit_seal()'), '40001', 'D20: gives way to seals made since');
ask($slow, 'ROLLBACK');
is(ask($slow, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT usermgmt.audit_seal(); COMMIT'), 1, 'D20: and else seals as any');
is(problems(''), 0, 'D20: the chain is intact');

# Sealing under load: four writers, some of which roll back, two sealers.
my $script = PostgreSQL::Test::Utils::tempdir . '/load.sql';
append_to_file($script, <<'END');
\set commits random(1, 4)
BEGIN;
INSERT INTO usermgmt.workspace (tenant_id, workspace_id, slug, name) SELECT tenant_id, gen_random_uuid(), 's' || replace(gen_random_uuid()::text, '-', ''), 'Load' FROM usermgmt.tenant WHERE slug = 'acme';
SELECT pg_sleep(random() * 0.005);
INSERT INTO usermgmt.workspace (tenant_id, workspace_id, slug, name) SELECT tenant_id, gen_random_uuid(), 's' || replace(gen_random_uuid()::text, '-', ''), 'Load' FROM usermgmt.tenant WHERE slug = 'globex';
\if :commits > 1
COMMIT;
\else
ROLLBACK;
\endif
END
my ($out, $err) = ('', '');
my $load = IPC::Run::start([ 'pgbench', '-n', '-c', 4, '-j', 2, '-T', 6, '-f', $script, $node->connstr('app') ], '>', \$out, '2>', \$err);
my $calls = 0;
my $sealed = 0;
$began = time;
while (time - $began < 5)
{
	$sealed += ask($_, 'SELECT usermgmt.audit_seal()') foreach $slow, $other;
	$calls += 2;
	sleep 0.01;
}
IPC::Run::finish($load);
is($err, '', 'P11: no writer fails while the trail is sealed');
scalar_of('SELECT usermgmt.audit_seal()');
is(scalar_of('SELECT sum(event_count) FROM usermgmt.audit_seal'), scalar_of('SELECT count(*) FROM usermgmt.audit_event'),
	'D19, D20: sealing under load loses and repeats no event');
is(problems(''), 0, 'D19, D20: and puts none out of order');
cmp_ok($sealed, '>', 100, 'D19: many were sealed while others were written');
diag("D19: $sealed events sealed in $calls calls during the load");

# NOTIFY of events comes with the commit, and does not stand in the way of two-phase commit.
ask($other, 'LISTEN usermgmt_event');
is(sqlstate($slow, sprintf "SET usermgmt.notify_events = on; BEGIN; $bulk; PREPARE TRANSACTION 'noted'", 'acme', 1),
	'none', 'S2.12: a transaction with events for listeners can be prepared');
ask($slow, "COMMIT PREPARED 'noted'");
is_deeply([ notifications($other) ], [], 'S2.12: it sends no NOTIFY');
ask($slow, 'SET usermgmt.log_events = on; BEGIN; SAVEPOINT a;' . sprintf($bulk, 'acme', 1) . '; ROLLBACK TO a;' . sprintf($bulk, 'globex', 2) . '; COMMIT');
is(scalar(my @notes = notifications($other)), 2, 'S2.12: a commit sends one per event that was not rolled back');
is("@notes", scalar_of("SELECT string_agg('usermgmt_event:' || event_id, ' ' ORDER BY event_id) FROM (SELECT event_id FROM usermgmt.audit_event ORDER BY transaction_id DESC, event_id DESC LIMIT 2) AS e"),
	'S2.12: in the order of the events');
ask($slow, 'RESET usermgmt.notify_events; RESET usermgmt.log_events');
ask($other, 'UNLISTEN *');
$_->quit foreach $slow, $other; # before what takes longer than they may wait

# R17: random tamperings by a superuser, each undone, against one saved checkpoint.
scalar_of("SET session_replication_role = replica; TRUNCATE usermgmt.audit_event, usermgmt.audit_seal, usermgmt.audit_head");
foreach my $n (1 .. 12)
{
	scalar_of(sprintf $bulk, $n % 2 ? 'acme' : 'globex', 20 + $n);
	scalar_of(sprintf $bulk, $n % 2 ? 'globex' : 'acme', 10);
	scalar_of("UPDATE usermgmt.tenant SET name = name || '.'");
	scalar_of('SELECT usermgmt.audit_seal()');
}
my $checkpoint = scalar_of('SELECT usermgmt.audit_checkpoint()');
like($checkpoint, qr/^usermgmt-checkpoint-1 seal=12 at=\S+ [\w-]+$/, 'R17: a checkpoint is one printable line');
foreach my $n (1 .. 3)
{
	scalar_of(sprintf $bulk, 'acme', 5);
	scalar_of('SELECT usermgmt.audit_seal()');
}
$node->safe_psql('app', slurp_file("$FindBin::Bin/lib/tamper.sql"));
my ($seed) = $ENV{SEED} // 8;
my $report = $node->safe_psql('app', "SELECT * FROM tamper_all($tampered, '$checkpoint', $seed)", timeout => 280);
my $detected = 0;
foreach my $line (split /\n/, $report)
{
	my ($kind, $tried, $found, $named, $naming) = split /\|/, $line;

	is($found, $tried, "R17: found: $kind");
	is($named, $tried, "R17: the first problem names the event: $kind") if $naming eq 't';
	$detected += $found;
	diag("R17: $kind: $found of $tried found" . ($naming eq 't' ? ", $named named" : ''));
}
is($detected, $tampered, "R17: $detected of $tampered tamperings are found (seed $seed)");
is(scalar_of("SELECT count(*) FROM usermgmt.audit_verify() UNION ALL SELECT count(*) FROM usermgmt.audit_verify_checkpoint('$checkpoint')"),
	"0\n0", 'R17: undone, the chain is intact');

# One tenant's events only.
my $forge = "BEGIN; SET LOCAL session_replication_role = replica; UPDATE usermgmt.audit_event SET action = 'x' WHERE event_id = (SELECT e.event_id FROM usermgmt.audit_event AS e
	JOIN usermgmt.tenant AS t ON t.tenant_id = e.tenant_id WHERE t.slug = 'acme' ORDER BY e.event_id LIMIT 1)";
foreach my $case ([ "'acme'", 1 ], [ "'globex'", 0 ], [ 'NULL', 1 ], [ "(SELECT tenant_id::text FROM usermgmt.tenant WHERE slug = 'acme')", 1 ], [ 'gen_random_uuid()::text', 0 ])
{
	is((split /\n/, scalar_of("$forge; SELECT count(*) FROM usermgmt.audit_verify($case->[0]); ROLLBACK"))[-1], $case->[1], "R17: judging the tenant $case->[0]");
}
like(($node->psql('app', "SELECT usermgmt.audit_verify('nobody')"))[2], qr/there is no such tenant/, 'R17: not one that does not exist');

# A crash in the middle of sealing.
scalar_of(sprintf $bulk, 'acme', 20000);
IPC::Run::pump_nb(my $sealer = IPC::Run::start([ 'psql', '-XAtc', 'SELECT usermgmt.audit_seal()', '-d', $node->connstr('app') ], '>', \$out, '2>', \$err));
sleep 0.1;
$node->stop('immediate');
eval { IPC::Run::finish($sealer) };
$node->start;
is(problems(''), 0, 'R18: the chain is intact after a crash in the middle of sealing');
cmp_ok(scalar_of('SELECT usermgmt.audit_seal()'), '>=', 0, 'R18: and goes on');
is(scalar_of('SELECT sum(event_count) FROM usermgmt.audit_seal'), scalar_of('SELECT count(*) FROM usermgmt.audit_event'),
	'R18: with every event sealed once');

# A hot standby verifies, and gives checkpoints.
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
is($standby->safe_psql('app', "SELECT count(*) FROM usermgmt.audit_verify() UNION ALL SELECT count(*) FROM usermgmt.audit_verify_checkpoint('$checkpoint')"),
	"0\n0", 'R17: a hot standby verifies');
is($node->safe_psql('app', "SELECT count(*) FROM usermgmt.audit_verify_checkpoint('" . $standby->safe_psql('app', 'SELECT usermgmt.audit_checkpoint()') . "')"),
	0, 'R17: a hot standby gives checkpoints');
like(($standby->psql('app', 'SELECT usermgmt.audit_seal()'))[2], qr/read-only transaction/, 'R17: it can not seal');
$standby->stop;

# A restored copy: verifies, and goes on in its own epoch with its own key.
my $dump = PostgreSQL::Test::Utils::tempdir . '/dump';
scalar_of("CREATE SCHEMA app; CREATE TABLE app.log (event_id uuid, action text); SELECT usermgmt.set_audit_sink('app.log')");
scalar_of(sprintf $bulk, 'acme', 7);
is(scalar_of('SELECT count(*) FROM app.log'), 7, 'S0.17: a sink gets the events');
run_log([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('app') ]) or die;
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE template0');
ok(run_log([ 'pg_restore', '-e', '-j2', '-d', $node->connstr('copy'), $dump ]), 'R19: the trail is restored');
is($node->safe_psql('copy', "SELECT count(*) FROM usermgmt.audit_verify() UNION ALL SELECT count(*) FROM usermgmt.audit_verify_checkpoint('$checkpoint')"),
	"0\n0", 'R17, R19: a restored copy verifies');
$node->safe_psql('copy', 'SET client_min_messages = error; SELECT usermgmt.activate()');
is($node->safe_psql('copy', 'SELECT usermgmt.audit_seal() > 7'), 't', 'R19: the copy seals what came with it and its own events');
$node->safe_psql('copy', 'SELECT usermgmt.audit_seal()');
is($node->safe_psql('copy', 'SELECT last_epoch FROM usermgmt.audit_seal ORDER BY seal_no DESC LIMIT 1'), 1, 'R19: in the epoch of the copy');
is($node->safe_psql('copy', "SELECT count(*) FROM usermgmt.audit_event WHERE action = 'audit.key_changed'"), 1, 'R17: that another key seals is in the trail');
is($node->safe_psql('copy', 'SELECT count(DISTINCT public_key) FROM usermgmt.audit_seal'), 2, 'R17: it seals with a key of its own');
is($node->safe_psql('copy', "SELECT count(*) FROM usermgmt.audit_verify() UNION ALL SELECT count(*) FROM usermgmt.audit_verify_checkpoint('$checkpoint')"),
	"0\n0", 'R17, R19: and verifies');
is($node->safe_psql('copy', "SELECT target = 'app.log'::regclass AND (SELECT count(*) FROM app.log WHERE action = 'installation.adopted') = 1 FROM usermgmt.audit_sink"), 't', 'S0.17: the sink is restored and goes on');
is(problems(''), 0, 'R17: the original verifies');
$node->stop;
done_testing();

