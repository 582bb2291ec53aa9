# Leavers, each in a transaction of its own: who left, how, by whom and why, and
# what the removal did with what the person had.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use UsermgmtTest;

my $node = start_node('leavers');

$node->safe_psql('app', <<'SQL');
SELECT usermgmt.create_tenant('acme', 'Acme', 'owner@acme.test');
CREATE TABLE note (id integer PRIMARY KEY, tenant_id uuid NOT NULL, author uuid NOT NULL);
SELECT usermgmt.attach_table('note', tenant_column => 'tenant_id', owner_column => 'author');
SQL
my ($ann, $token) = join_tenant($node, 'app', 'acme', 'ann@acme.test', 'admin');
my ($bob) = join_tenant($node, 'app', 'acme', 'bob@acme.test', 'admin');
my ($cat) = join_tenant($node, 'app', 'acme', 'cat@acme.test');
my ($dan) = join_tenant($node, 'app', 'acme', 'dan@acme.test');

sub as_ann
{
	my ($sql) = @_;

	return $node->safe_psql('app', "BEGIN; SELECT FROM usermgmt.use_session('$token'); $sql; COMMIT");
}

sub leavers
{
	my ($columns, $where) = @_;

	return $node->safe_psql('app', "SELECT usermgmt.use_tenant('acme') \\gset\nSELECT $columns FROM usermgmt.report_leavers WHERE $where ORDER BY left_at");
}
my $count = 'SELECT count(*) FROM usermgmt.report_leavers';

is($node->safe_psql('app', $count), '0', 'who is there has not left');

# Bob has four notes, two workspaces and an open session; he invited somebody.
$node->safe_psql('app', <<"SQL");
SELECT usermgmt.use_tenant('acme');
INSERT INTO note SELECT n, usermgmt.current_tenant_id(), '$bob' FROM generate_series(1, 4) AS n;
SELECT usermgmt.set_workspace_member(workspace_id, '$bob', 'member') FROM (VALUES ('one'), ('two')) AS w (slug), usermgmt.create_workspace(slug, slug);
SQL
as_ann("SELECT usermgmt.deactivate_user('$cat', 'parental leave')");
is(leavers('email, how, role, changed_by_email, reason, workspaces_left, handed_over, back_at, account_closed_at', 'true'),
	'cat@acme.test|deactivated|member|ann@acme.test|parental leave|0|||', 'S3.27 a deactivated person, by whom and why; nothing is handed over');
as_ann("SELECT usermgmt.reactivate_user('$cat')");
is(leavers("how, back_at > left_at", 'true'), 'deactivated|t', 'S3.27 who came back has left all the same, until then');
as_ann("SELECT usermgmt.deactivate_user('$cat', 'again'); SELECT usermgmt.change_role('$dan', 'admin')");
is(leavers('how, reason, back_at IS NULL', 'true'), "deactivated|parental leave|f\ndeactivated|again|t", 'S3.27 and a second time');

as_ann("SELECT usermgmt.remove_user('$bob', transfer_to => '$ann', reason => 'resigned', confirm => true)");
is(leavers('how, role, changed_by_email, reason, workspaces_left, back_at IS NULL, account_closed_at IS NOT NULL', "user_id = '$bob'"),
	'removed|admin|ann@acme.test|resigned|2|t|t', 'S3.27 a removed person, with role, places and closed account');
my $by_action = leavers("(SELECT string_agg(key || ' ' || value, ', ' ORDER BY key COLLATE \"C\") FROM jsonb_each_text(handed_over))", "user_id = '$bob'");
is($node->safe_psql('app', "SELECT count(*) FROM note WHERE author = '$ann'"), '4', 'his notes are hers');
is($by_action, $node->safe_psql('app', <<"SQL"), 'S3.27 what the removal did is what the trail has of its transaction');
SELECT string_agg(action || ' ' || n, ', ' ORDER BY action COLLATE "C") FROM (SELECT action, count(*) AS n FROM usermgmt.audit_event
	WHERE transaction_id = (SELECT transaction_id FROM usermgmt.audit_event WHERE action = 'user.removed' AND object_id = '$bob') GROUP BY action) AS a
SQL
like($by_action, qr/\bnote\.\w+ 4\b/, 'the four rows of the application included');
like($by_action, qr/\buser\.removed 1\b/, 'and the removal itself');
is(leavers('transaction_id', "user_id = '$bob'"), $node->safe_psql('app', "SELECT transaction_id FROM usermgmt.audit_event WHERE action = 'user.removed' AND object_id = '$bob'"),
	'its transaction leads into the trail');

# Deactivated, then removed by an operator; and bare SQL.
$node->safe_psql('app', "SELECT usermgmt.use_tenant('acme'); SELECT usermgmt.remove_user('$cat', confirm => true)");
is(leavers('how, back_at IS NULL, changed_by_email, handed_over IS NOT NULL', "user_id = '$cat'"),
	"deactivated|f|ann\@acme.test|f\ndeactivated|f|ann\@acme.test|f\nremoved|t||t", 'S3.27 a deactivation ends with the removal, which an operator made');
$node->safe_psql('app', "DELETE FROM usermgmt.membership WHERE user_id = '$dan'");
is(leavers('how, role, changed_by, database_role = current_user', "user_id = '$dan'"), 'removed|admin||t', 'S3.27 a removal by plain SQL is one too');
my ($again) = join_tenant($node, 'app', 'acme', 'bob@acme.test');
$node->safe_psql('app', "SELECT usermgmt.link_previous_account('$bob', '$again')");
is(leavers('successor_id', "user_id = '$bob'"), $again, 'S3.27 who came back as another account is named');

# More than a thousand events: a thousand are counted.
my ($eve) = join_tenant($node, 'app', 'acme', 'eve@acme.test');
$node->safe_psql('app', "INSERT INTO note SELECT n, tenant_id, '$eve' FROM usermgmt.tenant, generate_series(11, 1500) AS n");
as_ann("SELECT usermgmt.remove_user('$eve', transfer_to => '$ann', confirm => true)");
is(leavers('(SELECT sum(value::integer) FROM jsonb_each_text(handed_over))', "user_id = '$eve'"), '1000', 'at most 1,000 events are counted');
is($node->safe_psql('app', "SELECT usermgmt.create_tenant('other', 'Other', 'o\@other.test') \\gset\n$count WHERE tenant = 'acme'"), '6', 'S3.27 an operator without a tenant sees all');
is($node->safe_psql('app', "SELECT usermgmt.use_tenant('other') \\gset\n$count"), '0', 'S4.8 another tenant sees none of them');

done_testing();
