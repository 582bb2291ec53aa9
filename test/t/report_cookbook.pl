# Every answer of the administrator's questions in operations.md, and every
# question of docs/psqlrc, runs as it stands there.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('cookbook');
my $docs = "$FindBin::Bin/../../docs";
my $out  = "$PostgreSQL::Test::Utils::tmp_check/csv";

mkdir $out;
$node->safe_psql('app', "SELECT usermgmt.create_tenant('acme', 'Acme', 'owner\@acme.example')");
my ($eva) = join_tenant($node, 'app', 'acme', 'eva@example.org');
invite($node, 'app', 'acme', 'open@example.org');
$node->safe_psql('app', q(UPDATE usermgmt.invitation SET created_at = now() - interval '5 days', queued_at = now() - interval '5 days' WHERE state = 'pending'));

# A psql script in the tenant, in a directory of its own, that stops at an error.
sub runs
{
	my ($sql, $what) = @_;
	my ($stdout, $stderr);

	IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('app') ],
		'<', \"\\cd $out\nSELECT usermgmt.use_tenant('acme');\n$sql\n", '>', \$stdout, '2>', \$stderr);
	is($stderr, '', $what);
	return $stdout;
}

my $operations = slurp_file("$docs/operations.md");
my ($chapter) = $operations =~ /^## The administrator's questions\n(.*?)^## /ms;
my @blocks = $chapter =~ /^```(?:sql)?\n(.*?)^```/msg;
cmp_ok(scalar @blocks, '>=', 9, 'the cookbook has its blocks');
my %csv;
foreach my $block (@blocks)
{
	my ($title) = split /\n/, $block;

	$csv{$1} = 1 while $block =~ /TO '([\w-]+\.csv)'/g;
	$block =~ s/ *\\watch \d+/;/g;    # which would never end
	runs($block, "it runs: $title");
}
cmp_ok(-s "$out/$_", '>', 0, "$_ is written") foreach sort keys %csv;
is(scalar keys %csv, 3, 'three exports are shown');

my $psqlrc = slurp_file("$docs/psqlrc");
my @names = $psqlrc =~ /^\\set (um_\w+) /mg;
cmp_ok(scalar @names, '>=', 18, 'psqlrc has its questions');
runs("\\i $docs/psqlrc\n\\set email 'eva\@example.org'\n:$_", "psqlrc answers :$_") foreach @names;
my @listed = split /\n/, runs("\\i $docs/psqlrc\n:um_help", 'psqlrc lists its questions');
shift @listed;                        # the tenant's id
is_deeply([ sort @listed ], [ sort grep { $_ ne 'um_help' } @names ], 'and none is missing');
like(runs("\\i $docs/psqlrc\n\\set email 'eva\@example.org'\n:um_history_of", 'an answer about a person'), qr/membership\|\|member\|active/, 'is hers');

done_testing();
