"""Every public function and view, as a call that can be repeated for ever."""
from pq import Connection

# name, how often in a round, what is done once ("" for nothing), what is
# repeated: $n is the number of the repetition, the other names are of prepare().
CALLS = """
use_session | 200 | | SELECT * FROM usermgmt.use_session(:token)
use_session refused | 100 | | SELECT * FROM usermgmt.use_session('ums_no such token')
current_user_id | 200 | | SELECT usermgmt.current_user_id(), usermgmt.current_tenant_id(), usermgmt.current_session_id()
current_member_role | 200 | | SELECT usermgmt.current_member_role(), usermgmt.has_role('admin'), usermgmt.tenant_as('admin')
has_permission | 100 | | SELECT usermgmt.has_permission('invite_users')
has_workspace_role | 100 | | SELECT usermgmt.has_workspace_role(bench.id(6, 1), 'admin')
tenant_setting | 100 | | SELECT usermgmt.tenant_setting('invitation_ttl')
public_id | 100 | | SELECT usermgmt.id(usermgmt.public_id('user', bench.id(1, 1)))
relative_time | 100 | | SELECT usermgmt.relative_time(now() - interval '2 days')
invite_user | 40 | | SELECT * FROM usermgmt.invite_user(email => 'call-' || $n::text || '@example.com')
invite_users | 5 | | SELECT * FROM usermgmt.invite_users(ARRAY['many-' || $n::text || '@example.com', 'no address'])
revoke_invitation | 10 | | SELECT status FROM usermgmt.revoke_invitation((usermgmt.invite_user('rev-' || $n::text || '@example.com')).invitation_id, 'why')
resend_invitation | 10 | | SELECT status FROM usermgmt.resend_invitation(:invitation, true)
change_invitation_role | 10 | | SELECT role FROM usermgmt.change_invitation_role(:invitation, CASE WHEN $n::integer % 2 = 0 THEN 'admin' ELSE 'member' END)
change_invitation_workspaces | 10 | | SELECT workspaces FROM usermgmt.change_invitation_workspaces(:invitation, CASE WHEN $n::integer % 2 = 0 THEN '["ws-1"]'::jsonb ELSE '[]'::jsonb END)
invitation_link | 20 | | SELECT usermgmt.invitation_link(:invitation)
preview_invitation | 50 | | SELECT * FROM usermgmt.preview_invitation(:link)
invitation_json | 20 | | SELECT usermgmt.invitation_json(:invitation)
change_role | 5 | | SELECT role FROM usermgmt.change_role(:person, CASE WHEN $n::integer % 2 = 0 THEN 'admin' ELSE 'member' END)
deactivate_user | 4 | | SELECT (usermgmt.deactivate_user(:person)).status, (usermgmt.reactivate_user(:person)).status
preview_removal | 5 | | SELECT * FROM usermgmt.preview_removal(:person)
remove_user unconfirmed | 3 | | SELECT * FROM usermgmt.remove_user(:person)
update_profile | 10 | | SELECT name FROM usermgmt.update_profile('Olivia ' || $n::text)
set_metadata | 10 | | SELECT usermgmt.set_metadata('membership', :person, jsonb_build_object('n', $n::text))
update_tenant | 10 | | SELECT name FROM usermgmt.update_tenant(name => 'Acme ' || $n::text)
set_tenant_setting | 5 | | SELECT usermgmt.set_tenant_setting('resend_cooldown', '0'), usermgmt.reset_tenant_setting('locale')
allow_invite_domain | 5 | | SELECT usermgmt.allow_invite_domain('d' || $n::text || '.example'), usermgmt.disallow_invite_domain('d' || $n::text || '.example')
create_workspace | 5 | | SELECT slug FROM usermgmt.create_workspace('made-' || $n::text, 'Made')
update_workspace | 5 | | SELECT name FROM usermgmt.update_workspace(bench.id(6, 1), name => 'W' || $n::text)
set_workspace_member | 5 | | SELECT usermgmt.set_workspace_member(bench.id(6, 2), :person), usermgmt.remove_workspace_member(bench.id(6, 2), :person)
workspace_health | 5 | | SELECT usermgmt.workspace_health(bench.id(6, 1))
send_password_reset | 5 | | SELECT usermgmt.send_password_reset(:person)
request_password_reset | 20 | | SELECT usermgmt.request_password_reset('who-' || $n::text || '@example.com')
revoke_user_sessions | 5 | | SELECT usermgmt.revoke_user_sessions(:person)
start_session | 10 | operator | SELECT outcome FROM usermgmt.start_session(:person)
link_identity | 5 | operator | SELECT usermgmt.link_identity(:person, 'p', $n::text), usermgmt.user_by_identity('p', $n::text), usermgmt.unlink_identity(:person, 'p', $n::text)
use_tenant | 50 | operator | SELECT usermgmt.use_tenant('acme')
outbox_claim | 2 | operator | SELECT count(*) FROM usermgmt.outbox_claim('bench', 5)
outbox_next_due | 10 | operator | SELECT usermgmt.outbox_next_due()
run_maintenance | 2 | operator | SELECT usermgmt.run_maintenance()
events_since | 5 | operator | SELECT count(*) FROM usermgmt.events_since(NULL, 50)
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
view role_matrix | 10 | | SELECT * FROM usermgmt.role_matrix
view mail_queue | 5 | operator | SELECT * FROM usermgmt.mail_queue LIMIT 50
view outbox_statistics | 5 | operator | SELECT * FROM usermgmt.outbox_statistics
"""
REFUSED = ("use_session refused", "remove_user unconfirmed")


class Call:
    """One of CALLS; it may be refused only where that is what is measured."""

    def __init__(self, line):
        self.name, per_round, self.actor, self.sql = (part.strip() for part in line.split("|", 3))
        self.per_round = int(per_round)

    def begin(self, pair):
        pair.choose(self)

    def run(self, pair, number):
        try:
            pair.now.call(self.statement(pair), *([number] if "$n" in self.sql else []))
        except RuntimeError as error:
            if self.name not in REFUSED:
                raise RuntimeError(f"{self.name}: {error}") from error

    def statement(self, pair):
        sql = self.sql.replace("$n", "$1")
        for name, value in pair.values.items():
            sql = sql.replace(":" + name, f"'{value}'")
        return sql


class Pair:
    """A connection of the owner and one of an operator to a database."""

    def __init__(self, data):
        self.owner = Connection(data.name, "bench_app", synchronous_commit="off")
        self.owner.run(f"SELECT usermgmt.use_session('{data.owner_token}', 'connection')")
        self.operator = data.operator_connection(synchronous_commit="off")
        self.now = self.owner
        person = self.operator.one("SELECT bench.id(1, 7)")
        invitation = self.operator.one("SELECT (usermgmt.set_tenant_setting('resend_cooldown', '0'))::text;"
                                       " SELECT invitation_id FROM usermgmt.invitation"
                                       " WHERE state = 'pending' ORDER BY invitation_id LIMIT 1")
        link = self.operator.one(f"SELECT usermgmt.invitation_link('{invitation}')").split("token=")[1]
        self.values = {"token": data.owner_token, "person": person, "invitation": invitation, "link": link}

    def choose(self, call):
        self.now = self.operator if call.actor == "operator" else self.owner

    def cost(self, count, act):
        return self.now.cost(count, act)

    def close(self):
        self.owner.close()
        self.operator.close()


def prepare(data):
    return Pair(data)


def calls():
    return [Call(line) for line in CALLS.strip().splitlines()]
