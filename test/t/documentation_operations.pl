# What operations.md tells an operator to type in trouble does what it says.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('operations');
my $page = slurp_file("$FindBin::Bin/../../docs/operations.md");

$node->safe_psql('app', "SELECT usermgmt.create_tenant('acme', 'Acme', 'owner\@acme.example')");
join_tenant($node, 'app', 'acme', 'eva@example.org', 'admin');
$node->safe_psql('app', 'SELECT usermgmt.run_maintenance()');

# The blocks of a chapter, each in a transaction that is undone, and after each
# what the next query gives.
sub shows
{
	my ($chapter, @checks) = @_;
	my ($text) = $page =~ /^## \Q$chapter\E\n(.*?)^## /ms;
	my @blocks = grep { /^(SELECT|UPDATE|INSERT|LOCK)/m } $text =~ /^```(?:sql)?\n(.*?)^```/msg;

	is(scalar @blocks, scalar @checks, "$chapter: each block is looked at");
	foreach my $block (@blocks)
	{
		my ($query, $expected) = @{ shift @checks };
		my ($code, $out, $errors) =
		  $node->psql('app', "SELECT usermgmt.use_tenant('acme');\nBEGIN;\n$block\n$query;\nROLLBACK;", on_error_stop => 1);

		is($errors, '', "$chapter: it runs");
		is((split /\n/, $out)[-1], $expected, "$chapter: $query");
	}
}

shows('The key of links',
	[ 'SELECT count(*), bool_and(length(key) = 32) FROM usermgmt.signing_key', '1|t' ]);
shows('When mail does not leave',
	[ q(SELECT count(*) > 0 FROM usermgmt.mail_queue WHERE state = 'queued'), 't' ]);
shows('When somebody got in',
	[ q(SELECT count(*) FROM usermgmt.session WHERE state = 'open'), '0' ],
	[ q(SELECT (SELECT count(*) FROM usermgmt.session WHERE state = 'open') + (SELECT count(*) FROM usermgmt.signing_key)), '0' ]);
shows('When the only owner is gone',
	[ q(SELECT string_agg(email || ' ' || role, ', ' ORDER BY email) FROM usermgmt.members), 'eva@example.org owner, owner@acme.example admin' ]);

# Counted wrong: whatever the triggers did not see.
my $counts = q(SELECT count(*) FROM usermgmt.check() WHERE problem LIKE '%counted wrong');
$node->safe_psql('app', <<'SQL');
SELECT usermgmt.use_tenant('acme'), usermgmt.set_tenant_setting('seat_limit', '50');
SELECT FROM usermgmt.invite_users('{ann@acme.example,ben@acme.example}');
SET session_replication_role = replica;
UPDATE usermgmt.invitation SET state = 'revoked', holds_seat = false, revoked_at = now() WHERE email = 'ann@acme.example';
UPDATE usermgmt.membership SET status = 'deactivated', deactivated_at = now() WHERE role = 'admin';
SQL
is($node->safe_psql('app', $counts), '5', 'rows changed past the triggers are counted wrong');
shows('When something is counted wrong', [ $counts, '0' ]);

$node->stop;
done_testing();
