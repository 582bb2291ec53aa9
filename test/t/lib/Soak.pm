# Random operations of everything that the extension has, on many connections.

package Soak;

use strict;
use warnings;
use Exporter qw(import);
use FindBin;
use PostgreSQL::Test::Utils;
use UsermgmtTest;

our @EXPORT = qw(soak_node soak_start soak_finish soak_script soak_relay soak_outcomes soak_unexpected soak_log_faults);

my @levels = ('READ COMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE');
my $source = slurp_file("$FindBin::Bin/lib/soak.sql");
my @every  = $source =~ /^\tWHEN '([^']+)' THEN/mg;
my @calls  = grep { !/^bare/ } @every;
my @often  = ('log_in', 'start_session', 'log_in', 'start_session', 'remove_user', 'confirm_email_change', 'run_maintenance');

sub pick
{
	return $_[ int rand @_ ];
}

# A cluster with the homes that all are at. A deadlock is looked for later than
# a claim waits for a lock.
sub soak_node
{
	my ($name) = @_;
	my $node = start_node($name, conf => <<'END');
max_connections = 40
deadlock_timeout = 300ms
log_error_verbosity = verbose
usermgmt.allow_sign_up = on
usermgmt.resend_cooldown = 0
usermgmt.mails_per_address = 0
usermgmt.reminder_after = 1s
END
	$node->safe_psql('app', $source);
	$node->safe_psql('app', 'SELECT soak.settle()');
	return $node;
}

sub act
{
	my ($name) = @_;

	return "SELECT FROM soak.act('$name');\n\\echo did $name: :SQLSTATE\n";
}

# A transaction of one function, which must never meet others in a circle.
sub alone
{
	return 'BEGIN ISOLATION LEVEL ' . pick(@levels) . ";\n" . act(pick(@calls, @often)) . "COMMIT;\n\\echo end COMMIT: :SQLSTATE\n";
}

# One of several, plain SQL among them, partly undone.
sub mixed
{
	my $script = 'BEGIN ISOLATION LEVEL ' . pick(@levels) . ";\n";

	foreach (1 .. 1 + int rand 3)
	{
		my $step = act(pick(@every, @often));
		$step = "SAVEPOINT s;\n$step" . pick('ROLLBACK TO s', 'RELEASE s') . ";\n" if rand() < 0.3;
		$script .= $step . "\\if :ERROR\nROLLBACK;\nBEGIN;\n\\endif\n";
	}
	return $script . (rand() < 0.15 ? "ROLLBACK;\n" : "COMMIT;\n\\echo end COMMIT: :SQLSTATE\n");
}

sub until_over
{
	my ($until) = @_;

	return "SELECT clock_timestamp() > to_timestamp($until) AS over \\gset\n\\if :over\n\\q\n\\endif\n";
}

# What one connection does until then: so many transactions at most.
sub soak_script
{
	my ($kind, $transactions, $until) = @_;

	return join '', map { ($kind eq 'alone' ? alone() : mixed()) . ($_ % 5 ? '' : until_over($until)) } 1 .. $transactions;
}

sub soak_relay
{
	my ($name, $turns, $until) = @_;

	return ("SELECT FROM soak.relay('$name'); SELECT pg_sleep(0.05);\n" . until_over($until)) x $turns;
}

# Start a psql for each of these scripts.
sub soak_start
{
	my ($node, $name, @scripts) = @_;
	my @running;

	foreach my $i (0 .. $#scripts)
	{
		my $file = "$PostgreSQL::Test::Utils::tmp_check/$name.$i";
		append_to_file("$file.sql", $scripts[$i]);
		push @running,
		  {
			out => "$file.out",
			run => IPC::Run::start(
				[ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('app'), '-f', "$file.sql" ],
				'>', "$file.out", '2>', "$file.err")
		  };
	}
	return @running;
}

# Wait for all; how many were cut off, and what they did.
sub soak_finish
{
	my (@running) = @_;
	my $cut = grep { !$_->{run}->finish } @running;

	return ($cut, join '', map { slurp_file($_->{out}) } @running);
}

# How often each operation ended with which SQLSTATE.
sub soak_outcomes
{
	my ($out) = @_;
	my %outcome;

	$outcome{$1}{$2}++ while $out =~ /^(?:did|end) (.+): (\w{5})$/mg;
	return \%outcome;
}

# The outcomes that no manual tells of.
sub soak_unexpected
{
	my ($outcome) = @_;
	my @found;

	foreach my $name (sort keys %$outcome)
	{
		foreach my $state (sort keys %{ $outcome->{$name} })
		{
			next if $state =~ /^(?:00000|UM0\d\d|42501|22023|40001|40P01)$/;
			next if $state eq '25000' && $name =~ /^(?:audit_retire|erase_person)$/;
			next if $state eq '55000' && $name eq 'audit_checkpoint';    # nothing is sealed yet
			next if $state eq '23505' && $name =~ /^(?:confirm_email_change|bare update account)$/;
			next if $state eq '23503' && $name eq 'bare delete workspace';
			push @found, "$name: $state ($outcome->{$name}{$state})";
		}
	}
	return @found;
}

# Lines of the server's log that must never stand there.
sub soak_log_faults
{
	my ($node) = @_;

	return grep { /TRAP|PANIC|terminated by signal|XX\d\d\d:|could not (?:open|access) (?!file)/ } split /\n/, slurp_file($node->logfile);
}

1;
