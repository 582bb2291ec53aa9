# A database that pg_upgrade carried into another cluster is a copy, whole.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $old = start_node('old');
$old->safe_psql('app', "SELECT usermgmt.create_tenant('acme', 'Acme', 'owner\@acme.example')");
my (undef, $session) = join_tenant($old, 'app', 'acme', 'ann@acme.example', 'admin');
my $link = link_of($old, 'app', 'acme', invite($old, 'app', 'acme', 'eva@acme.example'));
$old->safe_psql('app', 'SELECT usermgmt.run_maintenance()');
is($old->safe_psql('app', 'SELECT problem FROM usermgmt.check()'), '', 'all is well before');
my $events = $old->safe_psql('app', 'SELECT count(*) FROM usermgmt.audit_event');
$old->stop;

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$new->append_conf('postgresql.conf', "lc_messages = 'C'\nlog_statement = none");
my $bin = $old->config_data('--bindir');
chdir $PostgreSQL::Test::Utils::tmp_check;
command_ok(
	[ "$bin/pg_upgrade", '-b', $bin, '-B', $bin, '-d', $old->data_dir, '-D', $new->data_dir,
		'-p', $old->port, '-P', $new->port, '-s', $new->host ],
	'pg_upgrade carries it over');
$new->start;

my ($code, undef, $refused) = $new->psql('app', "SELECT usermgmt.use_session('$session')");
like($refused, qr/not authenticated/, 'a session of before is refused');
is($new->safe_psql('app', "SELECT paused FROM usermgmt.outbox_statistics"), 'restored copy', 'mail is paused from the beginning');
$new->safe_psql('app', 'SELECT usermgmt.activate(), usermgmt.outbox_resume()');
($code, undef, $refused) = $new->psql('app', "SELECT usermgmt.preview_invitation('$link')");
like($refused, qr/not genuine/, 'a link of before is void');
is($new->safe_psql('app', 'SELECT count(*) FROM usermgmt.audit_verify()'), '0', 'the trail verifies');
cmp_ok($new->safe_psql('app', 'SELECT count(*) FROM usermgmt.audit_event'), '>', $events, 'and goes on');
is($new->safe_psql('app', q(SELECT DISTINCT problem FROM usermgmt.check())), 'was changed', 'check() finds nothing but definitions that are written in other words');
$new->safe_psql('app', 'TRUNCATE usermgmt.inventory; INSERT INTO usermgmt.inventory SELECT * FROM usermgmt.inventory_now()');
is($new->safe_psql('app', 'SELECT problem FROM usermgmt.check()'), '', 'and nothing once the inventory was taken anew');
like((join_tenant($new, 'app', 'acme', 'ben@acme.example'))[1], qr/^ums_/, 'people come in');

$new->stop;
done_testing();
