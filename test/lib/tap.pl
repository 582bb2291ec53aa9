# Run TAP programs, show what failed, and leave "passed failed" in a file.
# usage: tap.pl TREE COUNT-FILE JOBS perl|python|pgtap FILE...

use strict;
use warnings;
use File::Basename qw(basename);
use TAP::Harness;

my ($tree, $count_file, $jobs, $kind, @files) = @ARGV;

# The options of pg_prove, and a database of its own for each file.
my @psql = qw(psql --no-psqlrc --no-align --quiet --pset pager=off
  --pset tuples_only=true --set ON_ERROR_STOP=1);
# In the foreground, so that ending this program's group ends the tests too.
my $file_limit = $ENV{FILE_LIMIT} || 240;
my @bounded = ('timeout', '--foreground', '-k', 5, $file_limit);
my %command = (
	perl   => sub { ('/usr/bin/perl',    "$tree/$_[0]") },
	python => sub { ('/usr/bin/python3', "$tree/$_[0]") },
	pgtap  => sub {
		(@psql, '--dbname', 'pgtap_' . basename($_[0], '.sql'), '--file', "$tree/$_[0]");
	});

my $harness = TAP::Harness->new(
	{
		jobs      => $jobs,
		verbosity => -3,
		merge     => 1,
		exec      => sub { [ @bounded, $command{$kind}->($_[1]) ] }
	});

my %output;
$harness->callback(
	made_parser => sub {
		my ($parser, $job) = @_;
		my $lines = $output{ $job->[0] } = [];
		$parser->callback(ALL => sub { push @$lines, $_[0] });
	});

my $aggregate = $harness->runtests(@files);
# What was skipped has not passed; it is named.
my ($passed, $failed) = ($aggregate->passed - $aggregate->skipped, 0);
my %seconds;

foreach my $file ($aggregate->descriptions)
{
	my ($parser) = $aggregate->parsers($file);
	my $skipped = $parser->skip_all;
	$seconds{$file} = $parser->end_time - $parser->start_time;
	print "$file: skipped: $skipped\n" if defined $skipped;

	# The figure that a promise must show stands in a comment that begins with it.
	print "$file: ", $_->comment, "\n"
	  foreach grep { $_->is_comment && $_->comment =~ /^(?:[RDFPBS]\d|complaint)/ } @{ $output{$file} };
	print "$file: ", $_->as_string, "\n" foreach grep { $_->is_test && $_->has_skip } @{ $output{$file} };

	# A program that died, or kept silent, is one failure even when all that it
	# said was ok.
	my @complaints = $parser->parse_errors;
	push @complaints,
	  $parser->exit == 124 ? "ended after $file_limit s" : 'exit status ' . $parser->exit
	  if $parser->exit;
	push @complaints, 'no test was run' if !$parser->tests_run && !defined $skipped;
	my $failures = scalar $parser->failed;
	next if !$failures && !@complaints;
	$failed += $failures || 1;
	report($file, \@complaints, $failures, $output{$file});
}

# Where to look first when a suite takes too long.
my @slowest = sort { $seconds{$b} <=> $seconds{$a} } keys %seconds;
splice @slowest, 5 if @slowest > 5;
printf "slowest: %s\n", join ', ', map { sprintf '%s %.1f s', basename($_), $seconds{$_} } @slowest;

open my $count, '>', $count_file or die "$count_file: $!";
print $count "$passed $failed\n";
close $count;
exit($failed ? 1 : 0);

# The failing lines with the diagnostics that follow each; the last lines of all
# when the program died without one.
sub report
{
	my ($file, $complaints, $failures, $lines) = @_;
	print "$file: FAILED\n";
	my $failing = 0;
	foreach my $line (@$lines)
	{
		$failing = !$line->is_ok if $line->is_test;
		print '  ', $line->raw, "\n" if $failing;
	}
	if (!$failures)
	{
		my @last = @$lines > 20 ? @$lines[ -20 .. -1 ] : @$lines;
		print '  ', $_->raw, "\n" foreach @last;
	}
	print "  $_\n" foreach @$complaints;
}
