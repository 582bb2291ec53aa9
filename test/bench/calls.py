"""Every public function and view, as a call that can be repeated for ever.

test/t/documentation.pl sees that none of docs/permissions.md is missing here.
"""
import re

from pq import Connection, SqlError

# name, how often in a round, who calls (the owner by a session unless it says
# operator; undone: in a transaction that is rolled back each time), what is
# repeated: $n is the number of the repetition, the other names are of Pair.
CALLS = """
use_session | 200 | | SELECT * FROM usermgmt.use_session(:token)
use_session refused | 100 | | SELECT * FROM usermgmt.use_session('ums_no such token')
current_user_id | 200 | | SELECT usermgmt.current_user_id(), usermgmt.current_tenant_id(), usermgmt.current_session_id()
current_member_role | 200 | | SELECT usermgmt.current_member_role(), usermgmt.has_role('admin'), usermgmt.tenant_as('admin')
member_list_tenant | 200 | | SELECT usermgmt.member_list_tenant(), usermgmt.acts_without_session(), usermgmt.seat_is_free()
has_permission | 100 | | SELECT usermgmt.has_permission('invite_users')
has_workspace_role | 100 | | SELECT usermgmt.has_workspace_role(bench.id(6, 1), 'admin')
workspaces_as | 50 | | SELECT count(*) FROM usermgmt.workspaces_as('viewer')
tenant_setting | 100 | | SELECT usermgmt.tenant_setting('invitation_ttl')
effective_seconds | 100 | | SELECT usermgmt.effective_seconds('{}', 'session_ttl'), usermgmt.effective_limit('{}', 'seat_limit'), usermgmt.effective_switch('{}', 'invitations_enabled')
public_id | 100 | | SELECT usermgmt.id(usermgmt.public_id('user', bench.id(1, 1))), usermgmt.id_at(now())
relative_time | 100 | | SELECT usermgmt.relative_time(now() - interval '2 days')
delivery_of | 100 | | SELECT usermgmt.delivery_of(NULL)
invite_user | 40 | | SELECT * FROM usermgmt.invite_user(email => 'call-' || $n::text || '@example.com')
invite_users | 5 | | SELECT * FROM usermgmt.invite_users(ARRAY['many-' || $n::text || '@example.com', 'no address'])
revoke_invitation | 10 | | SELECT status FROM usermgmt.revoke_invitation((usermgmt.invite_user('rev-' || $n::text || '@example.com')).invitation_id, 'why')
resend_invitation | 10 | | SELECT status FROM usermgmt.resend_invitation(:invitation, true)
change_invitation_role | 10 | | SELECT role FROM usermgmt.change_invitation_role(:invitation, CASE WHEN $n::integer % 2 = 0 THEN 'admin' ELSE 'member' END)
change_invitation_workspaces | 10 | | SELECT workspaces FROM usermgmt.change_invitation_workspaces(:invitation, CASE WHEN $n::integer % 2 = 0 THEN '["ws-1"]'::jsonb ELSE '[]'::jsonb END)
invitation_link | 20 | | SELECT usermgmt.invitation_link(:invitation)
preview_invitation | 50 | | SELECT * FROM usermgmt.preview_invitation(:link)
invitation_json | 20 | | SELECT usermgmt.invitation_json(:invitation)
decline_invitation | 10 | undone | SELECT status FROM usermgmt.decline_invitation(:link)
accept_invitation | 1 | undone | SELECT outcome FROM usermgmt.accept_invitation(:link, 'seven quiet lanterns')
log_in | 1 | | SELECT outcome FROM usermgmt.log_in(:address, 'nine silver bells')
log_in refused | 1 | | SELECT outcome FROM usermgmt.log_in('nobody-' || $n::text || '@example.com', 'nine silver bells')
log_out | 10 | undone | SELECT usermgmt.log_out()
end_use | 10 | undone | SELECT usermgmt.end_use()
switch_tenant | 5 | undone | SELECT outcome FROM usermgmt.switch_tenant('acme')
rotate_session | 5 | undone | SELECT outcome FROM usermgmt.rotate_session()
revoke_session | 10 | undone | SELECT usermgmt.revoke_session(:session)
revoke_user_sessions | 5 | | SELECT usermgmt.revoke_user_sessions(:person)
change_password | 1 | undone person | SELECT usermgmt.change_password('nine silver bells', 'seven quiet lanterns')
request_email_change | 1 | undone person | SELECT usermgmt.request_email_change('moved@example.com', 'nine silver bells')
preview_email_change | 20 | | SELECT * FROM usermgmt.preview_email_change(:change)
confirm_email_change | 5 | undone person | SELECT usermgmt.confirm_email_change(:change)
send_password_reset | 5 | | SELECT usermgmt.send_password_reset(:person)
request_password_reset | 20 | | SELECT usermgmt.request_password_reset('who-' || $n::text || '@example.com')
preview_password_reset | 20 | | SELECT * FROM usermgmt.preview_password_reset(:reset)
reset_password | 1 | undone | SELECT usermgmt.reset_password(:reset, 'seven quiet lanterns')
change_role | 5 | | SELECT role FROM usermgmt.change_role(:person, CASE WHEN $n::integer % 2 = 0 THEN 'admin' ELSE 'member' END)
deactivate_user | 4 | | SELECT (usermgmt.deactivate_user(:person)).status, (usermgmt.reactivate_user(:person)).status
preview_removal | 5 | | SELECT * FROM usermgmt.preview_removal(:person)
remove_user unconfirmed | 3 | | SELECT * FROM usermgmt.remove_user(:person)
remove_user | 3 | undone | SELECT * FROM usermgmt.remove_user(:person, confirm => true)
transfer_ownership | 5 | undone | SELECT role FROM usermgmt.transfer_ownership(:person)
update_profile | 10 | | SELECT name FROM usermgmt.update_profile('Olivia ' || $n::text)
record_activity | 10 | | SELECT usermgmt.record_activity('export')
set_metadata | 10 | | SELECT usermgmt.set_metadata('membership', :person, jsonb_build_object('n', $n::text))
access_history | 10 | | SELECT * FROM usermgmt.access_history(:person)
explain_access | 10 | | SELECT * FROM usermgmt.explain_access(:person, 'manage_users')
update_tenant | 10 | | SELECT name FROM usermgmt.update_tenant(name => 'Acme ' || $n::text)
set_tenant_setting | 5 | | SELECT usermgmt.set_tenant_setting('resend_cooldown', '0'), usermgmt.reset_tenant_setting('locale')
allow_invite_domain | 5 | | SELECT usermgmt.allow_invite_domain('d' || $n::text || '.example'), usermgmt.disallow_invite_domain('d' || $n::text || '.example')
create_workspace | 5 | undone | SELECT slug FROM usermgmt.create_workspace('made-' || $n::text, 'Made')
update_workspace | 5 | | SELECT name FROM usermgmt.update_workspace(bench.id(6, 1), name => 'W' || $n::text)
archive_workspace | 5 | | SELECT (usermgmt.archive_workspace(bench.id(6, 3))).status, (usermgmt.restore_workspace(bench.id(6, 3))).status
set_workspace_member | 5 | | SELECT usermgmt.set_workspace_member(bench.id(6, 2), :person), usermgmt.remove_workspace_member(bench.id(6, 2), :person)
workspace_health | 5 | | SELECT usermgmt.workspace_health(bench.id(6, 1))
workspace_facts | 5 | | SELECT usermgmt.workspace_facts(bench.id(6, 1))
set_email_template | 5 | | SELECT usermgmt.set_email_template('invitation', 'en', 'Join us'), usermgmt.reset_email_template('invitation', 'en')
preview_email | 5 | | SELECT * FROM usermgmt.preview_email('invitation', 'en')
create_tenant | 5 | operator undone | SELECT slug FROM usermgmt.create_tenant('t' || $n::text, 'T', 't@example.com')
sign_up | 1 | operator undone | SELECT outcome FROM usermgmt.sign_up('s' || $n::text, 'S', 's@example.com', 'seven quiet lanterns')
start_session | 10 | operator | SELECT outcome FROM usermgmt.start_session(:person)
link_identity | 5 | operator | SELECT usermgmt.link_identity(:person, 'p', $n::text), usermgmt.user_by_identity('p', $n::text), usermgmt.unlink_identity(:person, 'p', $n::text)
link_previous_account | 5 | operator undone | SELECT usermgmt.link_previous_account(:closed, :person)
use_tenant | 50 | operator | SELECT usermgmt.use_tenant('acme')
activate | 10 | operator | SELECT usermgmt.activate()
outbox_claim | 2 | operator | SELECT count(*) FROM usermgmt.outbox_claim('bench', 5)
outbox_sent | 5 | operator undone | SELECT usermgmt.outbox_sending(:mail, :fence), usermgmt.outbox_sent(:mail, :fence, '250 taken')
outbox_failed | 5 | operator undone | SELECT usermgmt.outbox_failed(:mail, :fence, false, '421 later')
outbox_retry | 5 | operator undone | SELECT usermgmt.outbox_failed(:mail, :fence, true, '550 no'), usermgmt.outbox_retry(:mail), usermgmt.outbox_cancel(:mail)
outbox_bounced | 5 | operator undone | SELECT usermgmt.outbox_bounced('<' || bench.id(4, 100) || '@x>', 'i100@example.org', '5.1.1', 'no such user'), usermgmt.unsuppress_address('i100@example.org')
outbox_pause | 5 | operator undone | SELECT usermgmt.outbox_pause('a test'), usermgmt.outbox_resume()
outbox_next_due | 10 | operator | SELECT usermgmt.outbox_next_due()
outbox_figures | 5 | operator | SELECT * FROM usermgmt.outbox_figures()
hash_queue | 5 | operator | SELECT * FROM usermgmt.hash_queue()
server_figures | 5 | operator | SELECT * FROM usermgmt.server_figures()
run_maintenance | 2 | operator | SELECT usermgmt.run_maintenance()
audit_seal | 5 | operator | SELECT usermgmt.audit_seal()
audit_checkpoint | 5 | operator | SELECT usermgmt.audit_checkpoint()
events_since | 5 | operator | SELECT count(*) FROM usermgmt.events_since(NULL, 50)
attach_table | 2 | operator undone | SELECT usermgmt.attach_table('bench.lead', 'tenant_id')
detach_table | 2 | operator undone | SELECT usermgmt.attachment('bench.deal'::regclass), usermgmt.detach_table('bench.deal')
set_audit_sink | 2 | operator undone | SELECT usermgmt.set_audit_sink('bench.trail')
view members | 20 | | SELECT * FROM usermgmt.members ORDER BY joined_at, user_id LIMIT 50
view pending_invitations | 10 | | SELECT * FROM usermgmt.pending_invitations ORDER BY created_at, invitation_id LIMIT 50
view invitations | 10 | | SELECT * FROM usermgmt.invitations ORDER BY created_at, invitation_id LIMIT 50
view audit_trail | 20 | | SELECT * FROM usermgmt.audit_trail ORDER BY event_id DESC LIMIT 50
view member_statistics | 3 | | SELECT * FROM usermgmt.member_statistics
view people | 3 | | SELECT * FROM usermgmt.people LIMIT 50
view tenants | 20 | | SELECT * FROM usermgmt.tenants
view my_sessions | 5 | | SELECT * FROM usermgmt.my_sessions LIMIT 50
view sessions | 3 | | SELECT * FROM usermgmt.sessions LIMIT 50
view workspaces | 3 | | SELECT * FROM usermgmt.workspaces LIMIT 50
view workspace_members | 3 | | SELECT * FROM usermgmt.workspace_members LIMIT 50
view invite_domains | 10 | | SELECT * FROM usermgmt.invite_domains LIMIT 50
view email_templates | 10 | | SELECT * FROM usermgmt.email_templates LIMIT 50
view role_matrix | 10 | | SELECT * FROM usermgmt.role_matrix
view mail_queue | 5 | operator | SELECT * FROM usermgmt.mail_queue LIMIT 50
view suppressed_addresses | 5 | operator | SELECT * FROM usermgmt.suppressed_addresses LIMIT 50
view server_statistics | 5 | operator | SELECT * FROM usermgmt.server_statistics
view outbox_statistics | 5 | operator | SELECT * FROM usermgmt.outbox_statistics
view attached_tables | 5 | operator | SELECT * FROM usermgmt.attached_tables
view tenant_detail | 5 | operator | SELECT * FROM usermgmt.tenant_detail WHERE tenant_id = :tenant
"""
# What reads all of something, because that is what is asked for.
READS_ALL = {
    "check": "compares every row with every rule",
    "audit_verify": "verifies every event",
    "audit_verify_checkpoint": "verifies every event before the checkpoint",
    "audit_retire": "writes down and deletes all events before a date",
    "audit_event_detail": "auditors read all tenants at once; they follow by events_since",
    "erase_person": "searches the whole trail for what it says of the person",
    "suspend_tenant": "ends every session of the tenant",
    "resume_tenant": "needs a suspended tenant",
    "access_at": "has a row for each member",
    "users_json": "holds all members",
    "team_json": "holds all members",
    "expose": "makes a schema, from the catalog alone",
    "facade_statements": "the same as text",
    "report_": "reports count a period or list all; test/t/report_speed.pl bounds what they read",
}
REFUSED = ("use_session refused", "remove_user unconfirmed")
# How calls are made to fail (test/bench/loops.py); operators have no session.
NOBODY = "00000000-0000-7000-8000-00000000000f"
ABSENT = {"tenant": NOBODY, "person": NOBODY, "session": NOBODY, "closed": NOBODY, "invitation": NOBODY, "mail": NOBODY,
          "fence": "0", "address": "nobody@example.com"}
WITH_SESSION = ("member", "ended")
SETTINGS = {"synchronous_commit": "off", "usermgmt.hash_memory": 19456, "usermgmt.hash_passes": 2, "usermgmt.allow_sign_up": "on"}


class Call:
    """One of CALLS; it may be refused only where that is what is measured."""

    def __init__(self, line):
        self.name, per_round, actor, self.sql = (part.strip() for part in line.split("|", 3))
        self.per_round, self.actor = int(per_round), actor.split()
        self.undone = "undone" in self.actor
        self.refused = self.name in REFUSED

    def begin(self, pair, how=None):
        pair.choose(self, how)

    def run(self, pair, number):
        try:
            if self.undone:
                pair.now.call("BEGIN")
            pair.now.call(self.statement(pair), *([number] if "$n" in self.sql else []))
            if self.undone:
                pair.now.call("ROLLBACK")
        except RuntimeError as error:
            if not self.refused:
                raise RuntimeError(f"{self.name}: {error}") from error

    def fail(self, pair, number, how, before):
        """Undone, and as a rule refused, by the transaction's end; whether it was."""
        pair.now.run("BEGIN;" + before)
        try:
            pair.now.call(self.statement(pair, how), *([number] if "$n" in self.sql else []))
            return False
        except SqlError:
            return True
        finally:
            pair.now.run("ROLLBACK")

    def can(self, how):
        """Whether it can be called so that it fails in this way."""
        if how == "absent":
            return re.search(r"(?<!:):[a-z]|bench\.id\(", self.sql) is not None
        return how not in WITH_SESSION or "operator" not in self.actor

    def statement(self, pair, how=None, number="$1"):
        sql = self.sql.replace("$n", number)
        for name, value in pair.values.items():
            if how == "absent":  # a token with another secret
                value = ABSENT.get(name, value[:-6] + "AAAAAA")
            sql = sql.replace(":" + name, f"'{value}'")
        return re.sub(r"bench\.id\((\d), \d+\)", r"bench.id(\1, 99999999)", sql) if how == "absent" else sql


class Pair:
    """Connections of the owner, of a person and of an operator to a database,
    and what calls need of it."""

    def __init__(self, data):
        operator = self.operator = data.operator_connection(**SETTINGS)
        self.owner = data.owner_connection(synchronous_commit="off")
        self.person = Connection(data.name, "bench_app", synchronous_commit="off")
        self.ended = data.ended_connection(operator, synchronous_commit="off")
        self.now = self.owner
        operator.run("SELECT usermgmt.set_tenant_setting('resend_cooldown', '0');"
                     " CREATE TABLE bench.lead (id integer PRIMARY KEY, tenant_id uuid, owner_id uuid);"
                     " CREATE TABLE bench.deal (LIKE bench.lead INCLUDING ALL);"
                     " CREATE TABLE bench.trail (action text, object_id text);"
                     " SELECT usermgmt.attach_table('bench.deal', 'tenant_id')")
        self.values = {"tenant": data.tenant, "token": data.owner_token, "person": operator.one("SELECT bench.id(1, 7)")}
        self._people(operator)
        self._mails(operator)

    def _people(self, operator):
        """Somebody with a password, a wish for another address and a forgotten
        password, and somebody who left."""
        def joined(address):
            link = operator.one(f"SELECT usermgmt.invitation_link((usermgmt.invite_user('{address}')).invitation_id)")
            return operator.run("SELECT user_id, session_id, session_token FROM usermgmt.accept_invitation("
                                f"'{link.split('token=')[1]}', 'nine silver bells')")[0]
        user, session, token = joined("calls@example.com")
        self.person.run(f"SELECT usermgmt.use_session('{token}', 'connection')")
        closed = joined("left@example.com")[0]
        operator.run(f"SELECT usermgmt.remove_user('{closed}', confirm => true)")
        self.person.run("SELECT usermgmt.request_email_change('wish@example.com', 'nine silver bells')")
        operator.run(f"SELECT usermgmt.send_password_reset('{user}')")
        link = {kind: self._link(operator, kind) for kind in ("email_change", "password_reset")}
        self.values.update(address="calls@example.com", session=session, closed=closed,
                           change=link["email_change"], reset=link["password_reset"])

    @staticmethod
    def _link(operator, kind):
        """The token in the mail of this kind; the claim is undone."""
        operator.run("BEGIN; UPDATE usermgmt.outbox SET due_at = now() + interval '1 day'"
                     f" WHERE state = 'queued' AND kind <> '{kind}'")
        text = operator.one("SELECT text_body FROM usermgmt.outbox_claim('bench', 1)")
        operator.run("ROLLBACK")
        return text.split("token=")[1].split()[0]

    def _mails(self, operator):
        """An open invitation, and a mail that is claimed."""
        invitation = operator.one("SELECT invitation_id FROM usermgmt.invitation WHERE state = 'pending'"
                                  " ORDER BY invitation_id LIMIT 1")
        link = operator.one(f"SELECT usermgmt.invitation_link('{invitation}')").split("token=")[1]
        mail, fence = operator.run("SELECT message_id, fence FROM usermgmt.outbox_claim('bench', 1)")[0]
        self.values.update(invitation=invitation, link=link, mail=mail, fence=fence)

    def choose(self, call, how=None):
        self.now = (self.ended if how == "ended" else self.person if how == "member"
                    else self.operator if "operator" in call.actor
                    else self.person if "person" in call.actor else self.owner)

    def cost(self, count, act):
        return self.now.cost(count, act)

    def connections(self):
        return (self.owner, self.person, self.operator, self.ended)

    def close(self):
        for connection in self.connections():
            connection.close()


def prepare(data):
    return Pair(data)


def calls():
    return [Call(line) for line in CALLS.strip().splitlines()]
