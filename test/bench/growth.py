"""P9: what a hundred times the history changes; P10: pages of lists."""
import itertools
import subprocess

from calls import calls, prepare
from data import SMALL, history
from machine import Beside
from measure import Figure, Options, Ratio, in_turn, one_line, psql, report, say

LIMIT = 1.5
PAGES = {
    "members": ("SELECT * FROM usermgmt.members WHERE (joined_at, user_id) > ($1, $2)"
                " ORDER BY joined_at, user_id LIMIT 50",
                """SELECT m.user_id, m.tenant_id, a.email, a.name, m.role, m.is_primary_owner, m.status,
    CASE WHEN m.last_login_at IS NULL THEN 'never_logged_in'
        WHEN m.last_login_at > now() - interval '30 days' THEN 'active' ELSE 'inactive' END AS activity,
    m.joined_at, m.last_login_at, m.last_seen_at, m.deactivated_at, m.deactivated_by, m.deactivation_reason,
    (SELECT jsonb_object_agg(w.slug, p.role) FROM usermgmt.workspace_member AS p
        JOIN usermgmt.workspace AS w USING (tenant_id, workspace_id)
        WHERE p.tenant_id = m.tenant_id AND p.user_id = m.user_id AND w.archived_at IS NULL) AS workspaces, m.metadata
FROM usermgmt.membership AS m JOIN usermgmt.account AS a USING (user_id)
WHERE m.tenant_id = '{tenant}' AND (m.joined_at, m.user_id) > ($1, $2) ORDER BY m.joined_at, m.user_id LIMIT 50"""),
    "pending_invitations": ("SELECT * FROM usermgmt.pending_invitations WHERE (created_at, invitation_id) > ($1, $2)"
                            " ORDER BY created_at, invitation_id LIMIT 50",
                            """SELECT i.invitation_id, i.tenant_id, i.email, i.name, i.role,
    (SELECT jsonb_object_agg(w.slug, p.role) FROM usermgmt.invitation_workspace AS p
        JOIN usermgmt.workspace AS w USING (tenant_id, workspace_id)
        WHERE p.invitation_id = i.invitation_id AND p.tenant_id = i.tenant_id) AS workspaces,
    CASE WHEN i.expires_at <= now() THEN 'expired' ELSE 'pending' END AS status, i.message, i.invited_by,
    i.invited_by_email, i.created_at, sent.*, i.expires_at, last.state, last.reply,
    (i.invited_by IS NULL OR EXISTS (SELECT FROM usermgmt.membership AS m WHERE m.tenant_id = i.tenant_id
        AND m.user_id = i.invited_by AND m.status = 'active' AND m.role <> 'member'))
    AND NOT EXISTS (SELECT FROM usermgmt.account AS a JOIN usermgmt.membership AS m USING (user_id)
        WHERE m.tenant_id = i.tenant_id AND a.canonical_email = i.canonical_email AND a.closed_at IS NULL) AS can_accept
FROM (SELECT * FROM usermgmt.invitation WHERE tenant_id = '{tenant}' AND state = 'pending'
    AND (created_at, invitation_id) > ($1, $2) ORDER BY created_at, invitation_id LIMIT 50) AS i
CROSS JOIN LATERAL (SELECT min(o.finished_at), max(o.finished_at), count(*) FROM usermgmt.outbox AS o
    WHERE o.subject_id = i.invitation_id AND o.tenant_id = i.tenant_id AND o.state = 'sent') AS sent
LEFT JOIN LATERAL (SELECT o.state, o.reply FROM usermgmt.outbox AS o
    WHERE o.subject_id = i.invitation_id AND o.tenant_id = i.tenant_id ORDER BY o.message_id DESC LIMIT 1) AS last ON true
ORDER BY i.created_at, i.invitation_id"""),
    "audit_trail": ("SELECT * FROM usermgmt.audit_trail WHERE event_id > $2 AND $1::timestamptz IS NOT NULL"
                    " ORDER BY event_id DESC LIMIT 50",
                    """SELECT event_id, occurred_at, tenant_id, actor_user_id, actor_email, actor_db_role, session_id, ip,
    action, object_type, object_id, subject_email, old, new, reason, transaction_id
FROM usermgmt.audit_event WHERE tenant_id = '{tenant}' AND event_id > $2 AND $1::timestamptz IS NOT NULL
ORDER BY event_id DESC LIMIT 50"""),
}
START = ("2024-01-05 00:00:00+00", "00000000-0000-0000-0000-000000000000")
MIDDLE = 1_000_000
EXPLAIN = """LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_analyze = on;
SET auto_explain.log_buffers = on;
SET auto_explain.log_nested_statements = on;
SET client_min_messages = log;
SELECT usermgmt.use_tenant('acme');
BEGIN;
{statement};
{statement};
ROLLBACK;
"""
STATISTICS = "SELECT * FROM usermgmt.member_statistics"


NAMED = {"use_session", "invite_user", "view members", "view pending_invitations", "view audit_trail"}


class Growth:  # pylint: disable=too-few-public-methods
    """What a call costs in each database: the least of several slices, in
    turn, since other work on the machine only ever adds."""

    def __init__(self, call, pairs):
        numbers = [itertools.count(1) for _ in pairs]
        count = max(1, min(call.per_round, 20))
        slices = Options.rounds * max(2, min(10, call.per_round // 10))
        for pair in pairs:
            call.begin(pair)

        def cost(index):
            return pairs[index].cost(count, lambda _: call.run(pairs[index], next(numbers[index])))
        self.call, self.costs = call, [float("inf")] * len(pairs)
        for _ in range(3):  # what seems to grow is measured again
            found = in_turn(slices, {index: lambda index=index: cost(index) for index in range(len(pairs))})
            self.costs = [min(known, *found[index]) for index, known in enumerate(self.costs)]
            self.ratio = Figure(self.costs[-1] / self.costs[0], "")
            if self.ratio.value <= LIMIT:
                break


def growing(databases):
    """Every public function and view in all of them; the goal is for what P9
    names."""
    pairs = [prepare(data) for data in databases]
    small, large = databases[0], databases[-1]
    how = (f"processor time with {large.rows} / {small.rows} rows of history; "
           "statements in test/bench/calls.py")
    grown = [Growth(call, pairs) for call in calls()]
    for one in grown:
        if one.call.name in NAMED or one.ratio.value > LIMIT:
            report("P9", f"{one.call.name}: {large.rows} / {small.rows} rows of history", one.ratio,
                   f"≤ {LIMIT}" if one.call.name in NAMED else None, how)
    worst = max(grown, key=lambda one: one.ratio.value)
    report("P9", f"the worst of {len(grown)} calls of functions and views: {worst.call.name}", worst.ratio, None, how)
    table(grown, databases)
    for one in grown:
        if one.ratio.value > LIMIT:
            say(f"\n{one.call.name} with {large.rows} rows, its longest statement:\n"
                + longest_plan(large, one.call.statement(pairs[-1]).replace("$1", "'900001'")))
    for pair in pairs:
        pair.close()


def table(grown, databases):
    """All of them, for the page: in full what grows, else the ratio alone."""
    say("\n| µs with … rows of history | " + " | ".join(f"{data.rows:,}" for data in databases) + " | ratio |")
    say("| --- |" + " --- |" * (len(databases) + 1))
    for one in sorted(grown, key=lambda one: -one.ratio.value):
        if one.ratio.value > 1.25 or one.call.name in NAMED:
            say(f"| {one.call.name} | " + " | ".join(f"{cost:,.0f}" for cost in one.costs) + f" | {one.ratio.value:.2f} |")
    say("\n" + ", ".join(f"`{one.call.name}` {one.ratio.value:.2f}" for one in grown
                         if one.ratio.value <= 1.25 and one.call.name not in NAMED) + ".")


def longest_plan(data, statement):
    """The plan of the slowest statement that this one runs, or its own."""
    log = subprocess.run(["psql", "-X", "-d", data.name], input=EXPLAIN.format(statement=statement),
                         capture_output=True, text=True, check=False).stderr
    plans = [(float(plan.split(" ms")[0]), plan) for plan in log.split("LOG:  duration: ")[1:]]
    plans = [plan for plan in plans if "->" in plan[1]] or plans  # a call of a function has no node below
    return "\n".join(max(plans)[1].splitlines()[:40]) if plans else log


def paging(large):
    with large.owner_connection() as view, large.operator_connection() as plain:
        for name, (ours, base) in PAGES.items():
            base = base.format(tenant=large.tenant)
            counts = [len(view.call(ours, *START)), len(plain.call(base, *START))]
            if counts != [50, 50]:
                say(f"… {name}: pages of {counts} rows")
            found = in_turn(Options.rounds * 2, {
                "ours": lambda: view.cost(20, lambda _: view.call(ours, *START)),
                "plain": lambda: plain.cost(20, lambda _: plain.call(base, *START))})
            report("P10", f"{name}, page of 50 by key / the plain query", Ratio(found["ours"], found["plain"]),
                   "≤ 1.3", f"`{one_line(ours)}` / `{one_line(base)}`, processor time, {large.rows} rows of history")
        with Beside() as speed:
            view.call(STATISTICS)
            costs = [view.cost(1, lambda _: view.call(STATISTICS)) / 1000 for _ in range(Options.rounds)]
    figure = Figure.of(costs, "ms")
    report("P10", f"member_statistics of {large.people} members, server time", figure, "≤ 1",
           f"`{STATISTICS}`, processor time{speed.note(figure)}")


def run():
    # What other benchmarks have written would count as history of the small one.
    large = history(Options.rows)
    databases = [history(SMALL, "unused"), *([history(MIDDLE)] if Options.rows > MIDDLE else []), large]
    psql(large.name, "-c", "VACUUM ANALYZE")
    paging(large if len(databases) == 2 else databases[1])
    growing(databases)
