# A row that is inserted without a statement goes into every kind of index, also
# into one that another connection has changed since the last row.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('rows');
$node->safe_psql('app', "SELECT usermgmt.create_tenant('acme', 'Acme', 'founder\@acme.example')");
my $writer = connection($node, 'app');
ask($writer, "SELECT usermgmt.use_tenant('acme')");
my $number = 0;

sub put
{
	my ($address) = ('user' . ++$number . '@acme.example');

	return sqlstate($writer, "SELECT usermgmt.invite_user('$address')");
}

# The first row after a change is put by the statement, the others are not.
my %kinds = (
	btree => [ 'USING btree (recipient)', 'fillfactor = 70' ],
	hash  => [ 'USING hash (recipient)', 'fillfactor = 70' ],
	brin  => [ 'USING brin (recipient)', 'pages_per_range = 4' ],
	gin   => [ "USING gin (to_tsvector('simple', recipient))", 'gin_pending_list_limit = 100' ],
	gist  => [ "USING gist (to_tsvector('simple', recipient))", 'fillfactor = 70' ]);

foreach my $kind (sort keys %kinds)
{
	my ($definition, $option) = @{ $kinds{$kind} };

	$node->safe_psql('app', "CREATE INDEX added ON usermgmt.outbox $definition");
	put() foreach 1 .. 3;
	$node->safe_psql('app', "ALTER INDEX usermgmt.added SET ($option)");
	# What was closed is freed, and its memory used for something else.
	ask($writer, 'SELECT sum(pg_relation_size(oid)) FROM pg_class');
	is(join(' ', map { put() } 1 .. 3), 'none none none', "R21 a row goes into an index that was changed meanwhile: $kind");
	my $condition = $definition =~ /tsvector/ ? "to_tsvector('simple', recipient) @@ 'user$number\@acme.example'" : "recipient = 'user$number\@acme.example'";
	is($node->safe_psql('app', "SET enable_seqscan = off; SELECT count(*) FROM usermgmt.outbox WHERE $condition"), '1', "and is found by it: $kind");
	$node->safe_psql('app', 'DROP INDEX usermgmt.added');
}

done_testing();
