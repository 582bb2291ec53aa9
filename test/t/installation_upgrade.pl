# pg_upgrade from older servers to this one: every row arrives, nothing is added,
# and the new cluster is a copy unless an operator says that it is the original.
# UPGRADE_SERVERS names a file with one older server a line: where it is installed,
# and a file of settings with which it finds the extension. Without it the old
# server is of this same version.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Original;
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my @initdb = (initdb => [ '--data-checksums', '--encoding=UTF8', '--locale=C.UTF-8' ]);
my $keys = 'SELECT key_id, key FROM usermgmt.signing_key ORDER BY key_id';
my $findings = q(SELECT problem, object, detail FROM usermgmt.check() WHERE severity = 'error' ORDER BY 1, 2);
my $by_name = q(SELECT count(*) FROM usermgmt.check() WHERE problem = 'objects are compared by name only');
my $problems = 'SELECT count(*) FROM usermgmt.audit_verify()';

# What operations.md gives an operator who knows that this is the original.
my $recognize = <<'SQL';
UPDATE usermgmt.installation SET
	system_identifier = (SELECT system_identifier FROM pg_control_system()),
	extension_oid = (SELECT oid FROM pg_extension WHERE extname = 'usermgmt');
SQL

# And for check(), where that found nothing before.
my $renew = 'DELETE FROM usermgmt.inventory; INSERT INTO usermgmt.inventory SELECT * FROM usermgmt.inventory_now()';

my $number = 0;
foreach my $server (older_servers())
{
	my $new = start_node('new' . ++$number, empty => 1, @initdb);

	SKIP:
	{
		# As from 18 on, where an extension is staged by extension_control_path.
		skip 'pg_upgrade looks for the library in $libdir alone, and it is not there', 1
		  if $new->psql('postgres', q(LOAD '$libdir/usermgmt')) != 0;
		upgrade(start_node("old$number", empty => 1, @$server, @initdb), $new);
	}
	$new->stop;
}
done_testing();

sub older_servers
{
	return [] unless $ENV{UPGRADE_SERVERS};
	my @lines = split /\n/, slurp_file($ENV{UPGRADE_SERVERS});
	return map { my ($path, $settings) = split; [ install_path => $path, settings => $settings ] } @lines;
}

# One pair. The database app is used as it comes, kept is said to be the original.
sub upgrade
{
	my ($old, $new) = @_;
	my (%original, %before);

	foreach my $database ('app', 'kept')
	{
		make_database($old, $database);
		$old->safe_psql($database, q(SELECT usermgmt.create_tenant('acme', 'Acme', 'owner@acme.example')));
		$original{$database} = [ fill_original($old, $database) ];
		$old->safe_psql($database, 'SELECT usermgmt.audit_seal()');
		$before{$database} = contents($old, $database);
		$before{$database}{$_} = $old->safe_psql($database, $_) foreach $keys, $findings;
	}
	my ($from, $to) = map { $_->safe_psql('postgres', q(SELECT split_part(current_setting('server_version'), ' ', 1))) } $old, $new;
	my $pair = "$from to $to";

	$_->stop foreach $old, $new;
	ok(run_pg_upgrade($old, $new), "R19: pg_upgrade from $pair ends without an error");
	$new->start;
	foreach my $database ('app', 'kept')
	{
		my $now = contents($new, $database);
		my $rows = 0;

		$now->{$_} = $new->safe_psql($database, $_) foreach $keys, $findings;
		is_deeply($now, $before{$database}, "R19: from $pair every row and privilege comes along, no audit or mail row more, and check() finds as much");
		$rows += split /\n/, $now->{$_} foreach grep { /^[a-z_]+$/ && $_ ne 'privileges' } keys %$now;
		note("R19: pg_upgrade from $pair: $rows rows equal") if $now->{membership} eq $before{$database}{membership};
		is($new->safe_psql($database, $problems), 0, "R17, R19: from $pair the trail verifies");
		is($new->safe_psql($database, $by_name), 1, "R19: from $pair check() says that definitions can not be compared");
		is($new->safe_psql($database, "$renew; $by_name; $findings"), 0, "R19: from $pair they can once the inventory is renewed");
		is($new->safe_psql($database, "BEGIN; ALTER VIEW usermgmt.members SET (security_invoker = off); $findings; ROLLBACK") =~ s/\|.*//sr, 'was changed', "R19: from $pair a change is found then");
	}
	copy_awakens($new, $pair, @{ $original{app} });
	original_goes_on($new, $pair, @{ $original{kept} });
	is($new->safe_psql($_, $problems), 0, "R17, R19: from $pair the trail of $_ verifies when it has gone on") foreach 'app', 'kept';
}

sub run_pg_upgrade
{
	my ($old, $new) = @_;

	return run_log([
		'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $old->config_data('--bindir'),
		'-B', $new->config_data('--bindir'), '-s', $new->host, '-p', $old->port, '-P', $new->port ]);
}

# Nobody said anything: a copy, in which links and sessions of before are void.
sub copy_awakens
{
	my ($new, $pair, $ann, $session, $pending, $link) = @_;
	my $copy = connection($new, 'app');

	is(ask($copy, 'SELECT paused FROM usermgmt.outbox_statistics'), 'restored copy', "R19: after pg_upgrade from $pair mail is paused");
	is(sqlstate($copy, "SELECT usermgmt.use_session('$session')"), 'UM001', "R19: from $pair no session comes along");
	is(sqlstate($copy, "SELECT usermgmt.preview_invitation('$link')"), 'UM010', "R19: from $pair no link opens");
	ask($copy, 'SELECT usermgmt.activate()');
	like($copy->{stderr}, qr/WARNING:.*restored copy: mail is paused/, "R19: from $pair the first that writes is told");
	is(ask($copy, q(SELECT count(*) FROM usermgmt.outbox_claim('relay', 1000))), 0, "R19: from $pair no mail is sent");
	ask($copy, 'SELECT usermgmt.outbox_resume()');
	cmp_ok(ask($copy, q(SELECT count(*) FROM usermgmt.outbox_claim('relay', 1000))), '>', 0, "R19: from $pair mail is sent once an operator says so");
	works($copy, $pair, $ann, $pending);
}

# An operator said that it is the original: nobody notices.
sub original_goes_on
{
	my ($new, $pair, $ann, $session, $pending, $link) = @_;
	my $original = connection($new, 'kept');

	ask($original, $recognize);
	is($original->{stderr}, '', "R19: from $pair an operator says that it is the original");
	is(ask($original, "SELECT email FROM usermgmt.use_session('$session')"), 'ann@acme.example', "R19: from $pair sessions go on then");
	is(ask($original, "SELECT status FROM usermgmt.preview_invitation('$link')"), 'pending', "R19: from $pair links open then");
	is(ask($original, 'SELECT usermgmt.end_use(); SELECT paused IS NULL FROM usermgmt.outbox_statistics'), "\nt", "R19: from $pair mail is not paused then");
	works($original, $pair, $ann, $pending);
	is(ask($original, q(SELECT count(*) FROM usermgmt.audit_event WHERE action = 'installation.adopted')), 0, "R19: from $pair it is not adopted then");
}

# Functions, triggers and foreign keys do what they did.
sub works
{
	my ($connection, $pair, $ann, $pending) = @_;

	is(ask($connection, "SELECT outcome FROM usermgmt.log_in('ann\@acme.example', '$password')"), 'ok', "R19: from $pair a person logs in");
	is(ask($connection, "SELECT usermgmt.use_tenant('acme') \\g /dev/null
SELECT status FROM usermgmt.preview_invitation(split_part(usermgmt.invitation_link('$pending'), 'token=', 2))"),
		'pending', "R19: from $pair new links open");
	is(ask($connection, "UPDATE usermgmt.membership SET role = 'member' WHERE user_id = '$ann';
		SELECT count(*) FROM usermgmt.audit_event WHERE action = 'user.role_changed'"),
		1, "R19: from $pair triggers fire");
	is(sqlstate($connection, "UPDATE usermgmt.membership SET role = 'member' WHERE role = 'owner'"), 'UM030', "R8: from $pair the owner stays");
	is(sqlstate($connection, 'UPDATE usermgmt.session SET user_id = gen_random_uuid()'), '23503', "R19: from $pair foreign keys hold");
}
