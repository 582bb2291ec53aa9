"""P6: taking somebody's access away, and what revocation costs the others."""
import statistics
import subprocess

from data import SMALL, history
from machine import Beside
from measure import Figure, Options, report
from pq import Connection, settle

SESSIONS = 100
IDLE = 100
DEACTIVATE = "SELECT status FROM usermgmt.deactivate_user($1, 'left the company')"
EXPLAIN = """LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET client_min_messages = log;
SELECT usermgmt.use_tenant('acme');
SELECT status FROM usermgmt.deactivate_user('{user}');
"""


def people(data, number):
    """Members, each with a hundred open sessions more. They signed in by turns,
    so that the sessions of one lie among those of others, and 15 times an hour."""
    with Connection(data.name) as superuser:
        found = [row[0] for row in superuser.run(
            "SELECT user_id FROM usermgmt.membership WHERE status = 'active' AND role = 'member'"
            f" ORDER BY user_id DESC LIMIT {number}")]
        superuser.run(f"""
            SET session_replication_role = replica;
            INSERT INTO usermgmt.session (session_id, tenant_id, user_id, token_hash, role, email, state,
                created_at, last_used_at, expires_at)
            SELECT gen_random_uuid(), m.tenant_id, m.user_id, sha256(n::text::bytea), m.role, a.email, 'open',
                s.at, s.at, s.at + interval '1 day'
            FROM generate_series(1, {SESSIONS}) AS n
            CROSS JOIN unnest('{{{",".join(found)}}}'::uuid[]) WITH ORDINALITY AS p (user_id, turn)
            JOIN usermgmt.membership AS m USING (user_id)
            JOIN usermgmt.account AS a USING (user_id)
            CROSS JOIN LATERAL (SELECT now() - interval '4 min' * ({SESSIONS} - n) + interval '1 s' * turn AS at) AS s
            ORDER BY s.at""")
    return found


def deactivation(data):
    *persons, last = people(data, Options.rounds * 4 + 1)
    with data.operator_connection(synchronous_commit="off") as operator:
        with Beside() as speed:
            costs = [operator.cost(1, lambda _, person=person: operator.call(DEACTIVATE, person)) / 1000
                     for person in persons]
    figure = Figure.of(costs[1:], "ms")
    report("P6", f"deactivate_user with {SESSIONS} live sessions, server time", figure, "≤ 2",
           f"`{DEACTIVATE}`, processor time{speed.note(figure)}")
    log = subprocess.run(["psql", "-X", "-d", data.name], input=EXPLAIN.format(user=last),
                         capture_output=True, text=True, check=True).stderr
    statements = log.count("UPDATE usermgmt.session ")
    report("P6", "statements that end these sessions", Figure(statements, ""), "≤ 1",
           "auto_explain with log_nested_statements")


def revocation(data):
    """What the next statement of idle connections costs after somebody else's
    session was revoked, over an ordinary one."""
    connections = [data.owner_connection() for _ in range(IDLE)]
    statement = "SELECT usermgmt.current_user_id()"

    def sweep():
        costs = []
        for connection in connections:
            began = connection.processor()
            connection.call(statement)
            settle()
            costs.append((connection.processor() - began) / 1000)
        return costs
    with data.operator_connection() as operator:
        operator.run("CREATE TEMP TABLE victim AS SELECT session_id FROM usermgmt.session WHERE state = 'open'"
                     f" AND user_id <> '{data.owner}' LIMIT {Options.rounds}")
        added = []
        for number in range(Options.rounds):
            for _ in range(2):
                ordinary = sweep()
            operator.run("SELECT usermgmt.revoke_session((SELECT session_id FROM victim OFFSET"
                         f" {number} LIMIT 1))")
            added.append(statistics.median(sweep()) - statistics.median(ordinary))
    for connection in connections:
        connection.close()
    report("P6", f"a revocation, at the next statement of each of {IDLE} idle connections",
           Figure.of(added, "µs"), "≤ 20",
           f"`{statement}` after `revoke_session` elsewhere, less an ordinary one; medians of processor time")


def run():
    data = history(SMALL)
    deactivation(data)
    revocation(data)
