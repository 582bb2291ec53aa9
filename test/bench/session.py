"""P1 and P13: reading a session, in one round trip."""
import os
import shutil
import subprocess

from data import SMALL, history
from measure import WORK, Options, Pgbench, Ratio, in_turn, one_line, psql, report
from pq import Connection
from twins import twins

OURS = "SELECT * FROM usermgmt.use_session(:token{n});"
PLAIN = ("SELECT session_id, user_id, tenant_id, role, email, expires_at"
         " FROM usermgmt.session WHERE session_id = :id{n} AND tenant_id = :tenant"
         " AND token_hash = :hash{n} AND state = 'open' AND expires_at > now();")
TWIN = "SELECT * FROM twin.use_session(:twin{n});"


def script(statement, count):
    """One statement for each of the tokens, each a round trip."""
    return "\n".join(statement.format(n=n) for n in range(count))


def runner(data, clients, user):
    pgbench = Pgbench(data.name, clients, user)
    pgbench.variables = {"tenant": data.tenant}
    for n, session in enumerate(data.sessions):
        pgbench.variables.update({f"token{n}": session["token"], f"id{n}": session["id"],
                                  f"hash{n}": session["hash"],
                                  f"twin{n}": f"{session['id']}.{session['id']}"})
    return pgbench


def throughput():
    data = twins()
    count = len(data.sessions)
    for clients in (1, 8):
        application, operator = (runner(data, clients, user)
                                 for user in ("bench_app", "postgres"))
        found = in_turn(Options.rounds + 2, {
            "ours": lambda: application.rate(script(OURS, count)),
            "plain": lambda: operator.rate(script(PLAIN, count)),
            "twin": lambda: application.rate(script(TWIN, count))})
        crowd = f"{clients} client{'s' * (clients > 1)}"
        report("P1", f"use_session / plain prepared SELECT, {crowd}",
               Ratio(found["ours"], found["plain"]), "≥ 0.90",
               f"{application.shown(OURS)} / `{one_line(PLAIN)}`, {count} tokens")
        report("P1", f"use_session / its PL/pgSQL twin, {crowd}",
               Ratio(found["ours"], found["twin"]), "≥ 1.15",
               f"the same / `{one_line(TWIN)}`")


def processor_time():
    """The same without the round trip."""
    data = twins()
    session = data.sessions[3]
    with Connection(data.name, "bench_app") as ours, Connection(data.name) as plain, \
            Connection(data.name, "bench_app") as twin:
        found = in_turn(Options.rounds * 6, {
            "ours": lambda: ours.cost(400, lambda n: ours.call(
                "SELECT * FROM usermgmt.use_session($1)", session["token"])),
            "plain": lambda: plain.cost(400, lambda n: plain.call(
                "SELECT session_id, user_id, tenant_id, role, email, expires_at FROM"
                " usermgmt.session WHERE session_id = $1 AND tenant_id = $2 AND token_hash = $3"
                " AND state = 'open' AND expires_at > now()",
                session["id"], data.tenant, session["hash"])),
            "twin": lambda: twin.cost(400, lambda n: twin.call(
                "SELECT * FROM twin.use_session($1)", f"{session['id']}.{session['id']}"))})
    report("P1", "server time: plain SELECT / use_session", Ratio(found["plain"], found["ours"]),
           None, "processor time of the backend (schedstat), 400 calls a round")
    report("P1", "server time: PL/pgSQL twin / use_session", Ratio(found["twin"], found["ours"]),
           None, "the same")


def standby():
    """P13: the same statement on a hot standby and on its primary."""
    data = history(SMALL)
    directory = os.path.join(WORK, "standby")
    settings = os.path.join(directory, "postgresql.auto.conf")
    subprocess.run(["pg_basebackup", "-D", directory, "-c", "fast", "-X", "stream", "-R"],
                   check=True, capture_output=True)
    with open(settings, "a", encoding="utf-8") as file:
        file.write("port = 5433\n")
    control = ["pg_ctl", "-D", directory, "-l", os.path.join(WORK, "standby.log"), "-w"]
    subprocess.run([*control, "start"], check=True, capture_output=True)
    try:
        count = len(data.sessions)
        primary, replica = (runner(data, 1, "bench_app") for _ in range(2))
        replica.port = "5433"
        psql("postgres", "-c", "SELECT pg_switch_wal()")
        found = in_turn(Options.rounds + 2, {
            "replica": lambda: replica.rate(script(OURS, count)),
            "primary": lambda: primary.rate(script(OURS, count))})
        report("P13", "use_session on a hot standby / on the primary",
               Ratio(found["replica"], found["primary"]), "≥ 0.95",
               f"{replica.shown(OURS)} with `-p` of the standby / of the primary")
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, capture_output=True)
        shutil.rmtree(directory)


def run():
    throughput()
    processor_time()
    standby()
