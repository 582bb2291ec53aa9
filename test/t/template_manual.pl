# The manual's table of variables is what the code has.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('manual');
my $manual = slurp_file("$FindBin::Bin/../../docs/manual.md");
my ($table) = $manual =~ /\n\| kind \| variables[^\n]*\n\| --- \| --- \|\n((?:\|[^\n]*\n)+)/;
my %written;

foreach my $row (split /\n/, $table)
{
	my ($kind, $variables) = (split /\s*\|\s*/, $row)[ 1, 2 ];
	$kind =~ s/`//g;
	$written{$kind} = [ $variables =~ /`([a-z_]+)`/g ];
}
my $common = delete $written{all};

my @kinds = split /\n/, $node->safe_psql('app', q(SELECT DISTINCT kind FROM usermgmt.email_templates ORDER BY kind));
is_deeply([ sort keys %written ], \@kinds, 'the manual has every kind of mail and no other');
foreach my $kind (@kinds)
{
	my ($status, $out, $error) = $node->psql('app', "SELECT usermgmt.set_email_template('$kind', subject => '{{nobody}}')");
	my ($names) = $error =~ /Variables of $kind: (.*)\./;
	is_deeply([ @$common, @{ $written{$kind} } ], [ split /, /, $names // '' ], "S2.26: the manual has the variables of $kind");
}
$node->stop;
done_testing();
