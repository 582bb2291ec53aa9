# Dumps, restores and clones: every row arrives, nothing is added, and a copy
# sends no mail until an operator says so.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run;
use Original;
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('original', empty => 1);
my $other = start_node('other', empty => 1);

# A new extension needs no preparation, and can be made again in one session.
$node->safe_psql('postgres', 'CREATE DATABASE app TEMPLATE template0');
my $session = connection($node, 'app');
is(ask($session, <<'SQL'), "acme\nacme", 'a new extension works without activate(), also made again in the same session');
CREATE EXTENSION usermgmt;
SELECT slug FROM usermgmt.create_tenant('acme', 'Acme', 'owner@acme.example');
DROP EXTENSION usermgmt;
CREATE EXTENSION usermgmt;
SELECT slug FROM usermgmt.create_tenant('acme', 'Acme', 'owner@acme.example');
SQL
is($session->{stderr}, '', 'and does so without a word');
is(ask($session, q(SELECT count(*) FROM usermgmt.tenant; SELECT count(*) > 0 FROM usermgmt.audit_event)),
	"1\nt", 'the new one is armed, and knows nothing of the old one');
$session->quit;

# The original: people, sessions, links, mail in every state, a template, access.
my ($ann, $ann_session, $pending, $link) = fill_original($node, 'app');
$other->safe_psql('postgres', 'CREATE ROLE web; CREATE ROLE dba; CREATE ROLE mailer; CREATE ROLE reporter');

my $original = contents($node, 'app');
cmp_ok(scalar(grep { $original->{$_} ne '' } keys %$original), '>=', 13, 'the original has rows in nearly every table');
cmp_ok(scalar(split /\n/, $original->{privileges}), '>', 100, 'and privileges');

my $dumps = PostgreSQL::Test::Utils::tempdir;
my @from  = ('-d', $node->connstr('app'));
run_log([ 'pg_dump', '-Fp', '-f', "$dumps/plain",  @from ]) or die;
run_log([ 'pg_dump', '-Fc', '-f', "$dumps/custom", @from ]) or die;
run_log([ 'pg_dump', '-Fd', '-f', "$dumps/directory", @from ]) or die;
run_log([ 'pg_dump', '-Fc', '-s', '-f', "$dumps/schema", @from ]) or die;
run_log([ 'pg_dump', '-Fc', '-a', '-f', "$dumps/data", @from ]) or die;

# name => [ node, how to fill the empty database ]
my %copy = (
	plain => [ $node, sub { [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $_[0], '-f', "$dumps/plain" ] } ],
	custom => [ $node, sub { [ 'pg_restore', '-e', '-d', $_[0], "$dumps/custom" ] } ],
	parallel => [ $node, sub { [ 'pg_restore', '-e', '-j4', '-d', $_[0], "$dumps/custom" ] } ],
	directory => [ $other, sub { [ 'pg_restore', '-e', '-j4', '-d', $_[0], "$dumps/directory" ] } ],
	split => [ $node, sub { [ 'pg_restore', '-e', '-d', $_[0], "$dumps/schema" ], [ 'pg_restore', '-e', '-j4', '-d', $_[0], "$dumps/data" ] } ],
	clone => [ $node, undef ],
	elsewhere => [ $other, sub { [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $_[0], '-f', "$dumps/plain" ] } ]);

my ($rows, $equal) = (0, 0);
foreach my $name (sort keys %copy)
{
	my ($in, $fill) = @{ $copy{$name} };
	my $database = "copy_$name";

	$in->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE " . ($fill ? 'template0' : 'app'));
	if ($fill)
	{
		ok(run_log($_), "R19: the $name restore ends without an error") foreach $fill->($in->connstr($database));
	}
	my $content = contents($in, $database);
	is_deeply($content, $original, "R19, B13: the $name copy has every row and every privilege, and no audit or mail row more");
	foreach my $table (keys %$original)
	{
		$rows++ foreach split /\n/, $original->{$table};
		$equal += split /\n/, $content->{$table} if $content->{$table} eq $original->{$table};
	}
	awakens($in, $database, $name);
}
diag("R19: $equal of $rows rows equal, in " . keys(%copy) . ' copies');

# How many mails the relay itself sends from there.
sub relayed
{
	my ($in, $database) = @_;
	my $directory = "$PostgreSQL::Test::Utils::tmp_check/mails_$database";
	my $log;

	mkdir $directory;
	IPC::Run::run([ $ENV{RELAY} // 'usermgmt-relay', '--once', '--transport', "dir:$directory", '-d', $in->connstr($database) ], '2>', \$log) or diag $log;
	return scalar(() = glob "$directory/*.eml");
}

# The copy is used for the first time.
sub awakens
{
	my ($in, $database, $name) = @_;
	my $copy = connection($in, $database);
	my $mails = "SELECT count(*) FROM usermgmt.outbox_claim('copy', 1000)";

	is(sqlstate($copy, "SELECT outcome FROM usermgmt.accept_invitation('$link', '$password')"),
		'UM010', "B12: no link of the original opens in the $name copy");
	# The first to write is a person, or the relay.
	my @first = ("SELECT outcome FROM usermgmt.log_in('ann\@acme.example', '$password')", 'ok',
		"R19: a person of the original logs in to the $name copy");
	my @then = ($mails, 0, "R20, B12: the $name copy sends no mail");
	@first[ 0 .. 2 ] = splice @then, 0, 3, @first if $in == $other;
	is(ask($copy, $first[0]), $first[1], $first[2]);
	like($copy->{stderr}, qr/WARNING:.*restored copy: mail is paused/, "R20: the $name copy says that its mail is paused");
	is(ask($copy, $then[0]), $then[1], $then[2]);
	is($copy->{stderr}, '', "R20: the $name copy says so once");
	is(sqlstate($copy, "SELECT usermgmt.preview_invitation('$link')"),
		'UM010', "B12: nor does such a link show anything in the $name copy");
	is(ask($copy, "SELECT count(*) FROM usermgmt.audit_event WHERE action = 'installation.adopted'"),
		1, "R19: the trail of the $name copy says that it was adopted");
	is(ask($copy, 'SELECT usermgmt.outbox_next_due() IS NULL'), 't', "R20: and tells its relay that none is due");
	is(ask($copy, "UPDATE usermgmt.membership SET role = 'member' WHERE user_id = '$ann';
		SELECT count(*) FROM usermgmt.audit_event WHERE action = 'user.role_changed'"),
		1, "R19: the triggers of the $name copy are armed");
	is(sqlstate($copy, "UPDATE usermgmt.membership SET role = 'member' WHERE role = 'owner'"),
		'UM030', "R8: the $name copy keeps its owner");
	is(sqlstate($copy, 'UPDATE usermgmt.session SET user_id = gen_random_uuid()'),
		'23503', "R19: the foreign keys of the $name copy are armed");
	is(ask($copy, "SELECT usermgmt.use_tenant('acme') \\g /dev/null
SELECT status FROM usermgmt.preview_invitation(split_part(usermgmt.invitation_link('$pending'), 'token=', 2))"),
		'pending', "R19: the $name copy makes its own links");
	is(relayed($in, $database), 0, "R20: nor does the relay itself send a mail of the $name copy");
	ask($copy, 'SELECT usermgmt.outbox_resume()');
	cmp_ok(relayed($in, $database), '>', 0, "R20: the $name copy sends mail once it is told to");
	$copy->quit;
}

is_deeply(contents($node, 'app'), $original, 'R19: the original is as it was');
is($node->safe_psql('app', "SELECT email FROM usermgmt.use_session('$ann_session')"),
	'ann@acme.example', 'R19: and its sessions are live');
$node->stop;
$other->stop;
done_testing();
