# Sixty-four connections race for each of two hundred tokens: a one-time token
# lets exactly one of them in.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $clients = 64;
my $bound   = 194;    # invitations of a known person with a session: no hash
my $new     = 3;      # invitations of new people, who choose a password
my $reset   = 3;      # reset links
my $tokens  = $bound + $new + $reset;

my $node = start_node('race', conf => "max_connections = 100\nmax_locks_per_transaction = 256\n");

$node->safe_psql('app', q(SELECT usermgmt.create_tenant('home', 'Home', 'founder@home.example')));
my ($known, $session) = join_tenant($node, 'app', 'home', 'known@acme.example');

# A tenant for each token; the link of the founder's welcome mail is the reset link.
$node->safe_psql('app', <<"SQL");
CREATE TABLE race_token (n integer PRIMARY KEY, call text);
DO \$\$
BEGIN
	FOR n IN 1 .. $tokens LOOP
		PERFORM usermgmt.create_tenant('race-' || n, 'Race', 'founder-' || n || '\@acme.example');
		PERFORM usermgmt.use_tenant('race-' || n);
		IF n <= $bound + $new THEN
			INSERT INTO race_token
				SELECT n, format('SELECT ''ok'' FROM usermgmt.accept_invitation(%L, %L)',
					split_part(usermgmt.invitation_link(i.invitation_id), 'token=', 2),
					CASE WHEN n > $bound THEN '$password' END)
				FROM usermgmt.invite_user(CASE WHEN n <= $bound THEN 'known' ELSE 'new-' || n END || '\@acme.example') AS i;
		END IF;
	END LOOP;
END;
\$\$;
INSERT INTO race_token
	SELECT substring(recipient FROM 'founder-(\\d+)')::integer,
		format('SELECT ''ok'' FROM usermgmt.reset_password(%L, ''$password'')', substring(text_body FROM 'token=([A-Za-z0-9_-]+)'))
	FROM usermgmt.outbox_claim('race', 1000)
	WHERE kind = 'welcome' AND substring(recipient FROM 'founder-(\\d+)')::integer > $bound + $new;
SQL

# Every client waits at a lock of the token's number until all are there.
my %call = map { split /\|/, $_, 2 }
  split /\n/, $node->safe_psql('app', 'SELECT n, call FROM race_token ORDER BY n');
is(scalar keys %call, $tokens, 'there is a token for every race');

my $script = "$PostgreSQL::Test::Utils::tmp_check/race.sql";
open my $file, '>', $script or die $!;
print $file "SELECT FROM usermgmt.use_session('$session', 'connection');\n";
print $file "\\echo race $_\n\\warn race $_\nSELECT FROM pg_advisory_lock_shared($_);\n$call{$_};\n"
  foreach sort { $a <=> $b } keys %call;
close $file;

my $conductor = connection($node, 'app');
ask($conductor, "SELECT count(pg_advisory_lock(n)) FROM race_token");
my (@stdout, @stderr, @running);
foreach my $i (0 .. $clients - 1)
{
	push @running,
	  IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'VERBOSITY=sqlstate', '-d', $node->connstr('app'), '-f', $script ],
		'>', \$stdout[$i], '2>', \$stderr[$i]);
}
ask($conductor, <<"SQL");
DO \$\$
BEGIN
	FOR token IN 1 .. $tokens LOOP
		WHILE $clients > (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = token AND NOT granted) LOOP
			PERFORM pg_sleep(0.001);
		END LOOP;
		PERFORM pg_advisory_unlock(token);
	END LOOP;
END;
\$\$;
SQL
is($conductor->{stderr}, '', 'every client came to every race');
$_->finish foreach @running;
$conductor->quit;

# How often each race was won, and with which SQLSTATE it was lost.
my (%won, %lost);
foreach my $i (0 .. $clients - 1)
{
	my $n = 0;
	foreach (split /\n/, $stdout[$i])
	{
		$n = $1 if /^race (\d+)/;
		$won{$n}++ if $_ eq 'ok';
	}
	foreach (split /\n/, $stderr[$i])
	{
		$lost{$1}++ if /ERROR:\s+(\w{5})/;
	}
}

# races FROM TO: how many of those were won exactly once.
sub races
{
	my ($from, $to) = @_;

	return scalar grep { ($won{$_} // 0) == 1 } $from .. $to;
}

is(races(1, $bound), $bound,
	'R6, complaint 1: one of 64 connections accepts an invitation by a session');
is(races($bound + 1, $bound + $new), $new,
	'R6, complaint 1: one of 64 connections accepts an invitation with a new password');
is(races($bound + $new + 1, $tokens), $reset, 'R6: one of 64 connections uses a reset link');
is_deeply(\%lost, { UM012 => $tokens * ($clients - 1) },
	'R6: all others are told that the token has been used');
is($node->safe_psql('app', <<"SQL"), "$bound|$new|$reset", 'R6: each token left one trace in the trail');
SELECT count(*) FILTER (WHERE action = 'invitation.accepted' AND subject_email = 'known\@acme.example') - 1,
	count(*) FILTER (WHERE action = 'invitation.accepted' AND subject_email LIKE 'new-%'),
	count(*) FILTER (WHERE action = 'account.password_changed')
FROM usermgmt.audit_event
SQL
is($node->safe_psql('app', <<"SQL"), 0, 'complaint 1: every race made one membership and one session');
SELECT count(*)
FROM usermgmt.invitation AS i
WHERE (SELECT count(*) FROM usermgmt.membership AS m WHERE m.tenant_id = i.tenant_id AND role = 'member') <> 1
	OR (SELECT count(*) FROM usermgmt.session AS s WHERE s.tenant_id = i.tenant_id) <> 1
SQL
my $successes = 0;
$successes += $_ foreach values %won;
diag("R6: successes $successes of $tokens tokens, $clients connections each");

$node->stop;
done_testing();
