# People log in all the time while one after the other is deactivated: from the
# commit of a deactivation on none of their sessions is open.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $rounds  = $ENV{USERMGMT_SOAK} ? 10000 : 150;
my $clients = 8;
my $node    = start_node('stress');
$node->safe_psql('app', "SELECT usermgmt.create_tenant('acme', 'Acme', 'founder\@acme.example')");
join_tenant($node, 'app', 'acme', "p$_\@acme.example") foreach 1 .. 4;

my $script = "$PostgreSQL::Test::Utils::tmp_check/log_in.sql";
append_to_file($script, <<"SQL");
\\set n random(1, 4)
INSERT INTO answer SELECT outcome FROM usermgmt.log_in('p' || :n || '\@acme.example', '$password');
SQL
$node->safe_psql('app', 'CREATE TABLE answer (outcome text)');
my ($out, $err) = ('', '');
my $load = IPC::Run::start([ 'pgbench', '-n', '-c', $clients, '-j', 2, '-T', 3600, '-f', $script, '-d', $node->connstr('app') ], '>', \$out, '2>', \$err);
$node->poll_query_until('app', 'SELECT count(*) > 20 FROM answer') or die "nobody logs in: $err";

# The second look finds a session of somebody who had been let in before.
my $left = $node->safe_psql('app', <<"SQL");
SET client_min_messages = warning;
SELECT usermgmt.use_tenant('acme') \\g /dev/null
CREATE TABLE found (sessions bigint);
DO \$\$
DECLARE
	person uuid;
BEGIN
	FOR i IN 1 .. $rounds LOOP
		SELECT user_id INTO STRICT person FROM usermgmt.account WHERE email = format('p%s\@acme.example', i % 4 + 1);
		PERFORM usermgmt.deactivate_user(person);
		COMMIT;
		INSERT INTO found SELECT count(*) FROM usermgmt.session WHERE user_id = person AND state = 'open';
		PERFORM pg_sleep(0.01);
		INSERT INTO found SELECT count(*) FROM usermgmt.session WHERE user_id = person AND state = 'open';
		PERFORM usermgmt.reactivate_user(person);
		COMMIT;
	END LOOP;
END \$\$;
SELECT sum(sessions) FROM found
SQL
$load->signal('INT');
$load->finish;
is($left, '0', 'R7: no session of a deactivated person is open');
is($node->safe_psql('app', "SELECT count(*) FROM found"), 2 * $rounds, 'R7: after every deactivation');
my %answers = map { split /\|/ } split /\n/, $node->safe_psql('app', 'SELECT outcome, count(*) FROM answer GROUP BY outcome');
cmp_ok($answers{$_} // 0, '>', 0, "R7: log-ins were answered with $_") foreach 'ok', 'deactivated';
is($node->safe_psql('app', 'SELECT count(*) FROM usermgmt."check"() WHERE severity = \'error\''), '0', 'R18: nothing contradicts itself');
diag("R7: $left sessions after $rounds deactivations, against " . ($answers{ok} // 0) . ' log-ins by ' . "$clients clients");

$node->stop;
done_testing();
