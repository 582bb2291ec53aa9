# A database of the extension with something of everything in it, and what is in
# such a database.

package Original;

use strict;
use warnings;
use Exporter qw(import);
use UsermgmtTest;

our @EXPORT = qw(fill_original contents);

# Fill the tenant acme: people, sessions, links, mail in every state, a template and
# access for roles. Gives an admin's id and session token, and a pending invitation's
# id and token.
sub fill_original
{
	my ($node, $database) = @_;

	my ($ann, $ann_session) = join_tenant($node, $database, 'acme', 'ann@acme.example', 'admin');
	my ($bob) = join_tenant($node, $database, 'acme', 'bob@acme.example');
	my $pending = invite($node, $database, 'acme', 'pending@acme.example');
	my $link = link_of($node, $database, 'acme', $pending);
	$node->safe_psql($database, <<"SQL");
SELECT usermgmt.use_tenant('acme');
SELECT usermgmt.revoke_invitation(invitation_id) FROM usermgmt.invite_user('revoked\@acme.example');
SELECT usermgmt.invite_user('claimed\@acme.example', message => E'tab\\tand \\\\. and "quotes"');
SELECT usermgmt.deactivate_user('$bob', 'left');
SELECT usermgmt.send_password_reset('$ann');
SELECT usermgmt.log_in('ann\@acme.example', 'wrong');
CREATE TEMP TABLE claimed AS SELECT * FROM usermgmt.outbox_claim('relay', 3);
SELECT usermgmt.outbox_sending(message_id, fence), usermgmt.outbox_sent(message_id, fence, '250 ok') FROM claimed LIMIT 1;
SELECT usermgmt.outbox_failed(message_id, fence, true, '550 no') FROM claimed OFFSET 1 LIMIT 1;
INSERT INTO usermgmt.email_template (kind, locale, subject, text_body, html_body) VALUES ('invitation', 'en', 'Own', '{{link}}', '{{link}}');
INSERT INTO usermgmt.address_suppression VALUES ('gone\@acme.example', 'bounced', now());
SELECT 'CREATE ROLE ' || name FROM unnest('{web,dba,mailer,reporter}'::text[]) AS name WHERE to_regrole(name) IS NULL \\gexec
SELECT usermgmt.grant_access('web', 'application'), usermgmt.grant_access('dba', 'operator'),
	usermgmt.grant_access('mailer', 'relay'), usermgmt.grant_access('reporter', 'auditor');
SQL
	return ($ann, $ann_session, $pending, $link);
}

# Every row of every table of the extension but its keys, and every privilege. Where
# the inventory was made is another place in each copy.
sub contents
{
	my ($in, $database) = @_;
	my %content;

	foreach my $table (
		split /\n/,
		$in->safe_psql($database, q(SELECT relname FROM pg_class WHERE relnamespace = 'usermgmt'::regnamespace AND relkind = 'r' AND relname <> 'signing_key')))
	{
		$content{$table} = $in->safe_psql($database, qq(SELECT to_json(t)::text FROM usermgmt.$table AS t ORDER BY to_json(t)::text COLLATE "C"));
	}
	$content{inventory} =~ s/^\{"kind":"extension".*\n//m or die 'the inventory does not say where it was made';
	$content{privileges} = $in->safe_psql($database, <<'SQL');
SELECT what, grantee::regrole, privilege_type FROM (
	SELECT oid::regclass::text, relacl FROM pg_class WHERE relnamespace = 'usermgmt'::regnamespace
	UNION ALL SELECT oid::regprocedure::text, proacl FROM pg_proc WHERE pronamespace = 'usermgmt'::regnamespace
	UNION ALL SELECT attrelid::regclass || '.' || attname, attacl FROM pg_attribute
		WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'usermgmt'::regnamespace)
	UNION ALL SELECT nspname, nspacl FROM pg_namespace WHERE nspname = 'usermgmt'
) AS o (what, acl), aclexplode(acl) WHERE grantee <> 10 ORDER BY 1, 2, 3
SQL
	return \%content;
}

1;
