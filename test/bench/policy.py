"""P2: current_tenant_id() in a row-security policy, on a million rows."""
import statistics

from data import SMALL, history
from measure import Figure, Options, Ratio, Stopwatch, in_turn, report
from pq import Connection

ROWS = 1_000_000
TENANTS = 1000
# The policy of each role. "wrapped" is what attach_table() generates.
POLICIES = {
    "constant": "tenant_id = '{tenant}'",
    "wrapped": "tenant_id = (SELECT usermgmt.current_tenant_id())",
    "bare": "tenant_id = usermgmt.current_tenant_id()",
    "setting": "tenant_id = current_setting('bench.tenant')::uuid",
}
SERIAL = "SET max_parallel_workers_per_gather = 0"
SEQUENTIAL = "SET enable_indexscan = off; SET enable_bitmapscan = off"
# Small tables are read by workers too, so that the plan is the one of a large table.
PARALLEL = ("SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0;"
            " SET parallel_tuple_cost = 0")
QUERY = "SELECT count(*), sum(n) FROM bench.item"


def fill(data):
    with Connection(data.name) as superuser:
        superuser.run(f"""
            SET synchronous_commit = off;
            CREATE TABLE bench.item (tenant_id uuid NOT NULL, n integer NOT NULL, body text NOT NULL);
            INSERT INTO bench.item SELECT CASE n % {TENANTS} WHEN 0 THEN '{data.tenant}'
                ELSE bench.id(9, n % {TENANTS}) END, n, 'the text of row ' || n
                FROM generate_series(1, {ROWS}) AS n ORDER BY md5(n::text);
            CREATE INDEX ON bench.item (tenant_id);
            ALTER TABLE bench.item ENABLE ROW LEVEL SECURITY""")
        for name, policy in POLICIES.items():
            superuser.run(f"""
                CREATE ROLE bench_{name} LOGIN;
                SELECT usermgmt.grant_access('bench_{name}', 'application');
                GRANT USAGE ON SCHEMA bench TO bench_{name};
                GRANT SELECT ON bench.item TO bench_{name};
                CREATE POLICY p_{name} ON bench.item TO bench_{name}
                    USING ({policy.format(tenant=data.tenant)})""")
        superuser.run("VACUUM (ANALYZE, FREEZE) bench.item")


def take(connection, name):
    """From here on the connection reads by the policy of this name."""
    connection.run(f"SET ROLE bench_{name}")


def query(name):
    """The query as a statement of its own for each role: prepared once, its plan stays."""
    return f"{QUERY} /* {name} */"


def connect(data, *settings):
    """A connection with the owner's session bound that has read by each policy."""
    connection = Connection(data.name, **{"bench.tenant": data.tenant})
    connection.run(f"SELECT usermgmt.use_session('{data.owner_token}', 'connection')")
    for setting in settings:
        connection.run(setting)
    for name in POLICIES:
        take(connection, name)
        if connection.call(query(name))[0][0] != str(ROWS // TENANTS):
            raise RuntimeError(f"the policy {name} shows other rows")
    return connection


def plan_of(connection, name):
    take(connection, name)
    return "\n".join(row[0] for row in connection.run("EXPLAIN " + QUERY))


def in_one_backend(connection, calls, node):
    """The median cost of a query by each policy: one query each in turn, all in the same backend,
    since two backends that do the same differ by more than is looked for."""
    def cost(name):
        take(connection, name)
        return connection.cost(1, lambda _: connection.call(query(name)))
    for name in POLICIES:
        if node not in plan_of(connection, name):
            raise RuntimeError(f"{name}: no {node} in {plan_of(connection, name)}")
    costs = in_turn(calls, {name: lambda n=name: cost(n) for name in POLICIES})
    return {name: statistics.median(costs[name]) for name in POLICIES}


def rounds_of(data, calls, settings, node):
    """The costs by each policy. Each round has a backend of its own: how its memory lies shifts all of its
    ratios by a few hundredths."""
    rounds = []
    for _ in range(Options.rounds * 2 + 1):
        with connect(data, *settings) as connection:
            rounds.append(in_one_backend(connection, calls, node))
    return {name: [costs[name] for costs in rounds] for name in POLICIES}


def compare(data, kind, calls, settings, node):
    """Each query is a transaction of its own, so that the session is read anew for it."""
    found = rounds_of(data, calls, settings, node)
    how = f"`{QUERY}`, {node}, processor time; policy `{{}}` / `{{}}`"
    each = "; microseconds of a query: " + ", ".join(
        f"{name} {statistics.median(costs):,.0f}" for name, costs in found.items())
    for name in ("wrapped", "bare"):
        report("P2", f"{kind}: {name} current_tenant_id() / constant",
               Ratio(found[name], found["constant"]), "≤ 1.05" if name == "wrapped" else None,
               how.format(POLICIES[name], POLICIES["constant"]) + (each if name == "wrapped" else ""))
    report("P2", f"{kind}: current_setting()::uuid / current_tenant_id()",
           Ratio(found["setting"], found["wrapped"]), "≥ 6" if kind == "sequential scan" else None,
           how.format(POLICIES["setting"], POLICIES["wrapped"]))


def within_transaction(data, calls, settings, node):
    """The sub-select alone: the session was read by an earlier statement of the transaction."""
    found = rounds_of(data, calls, [*settings, "BEGIN"], node)
    report("P2", "index scan, session already read: wrapped / constant", Ratio(found["wrapped"], found["constant"]), None,
           f"`{QUERY}`, {node}, processor time, all in one transaction")


def workers(data):
    """Whether the scan stays parallel, and what that costs in wall time."""
    def wall(connection, name):
        take(connection, name)
        watch = Stopwatch()
        connection.call(query(name))
        return watch.microseconds()
    with connect(data, SEQUENTIAL, PARALLEL) as connection:
        for name, wanted in (("wrapped", 1), ("bare", None)):
            report("P2", f"parallel plan with {name} current_tenant_id() (1: yes, 0: no)",
                   Figure(int("Gather" in plan_of(connection, name)), ""), "≥ 1" if wanted else None,
                   f"`EXPLAIN {QUERY}` with the policy `{POLICIES[name]}`")
        found = in_turn(Options.rounds * 2 + 1, {
            name: lambda n=name: wall(connection, n) for name in ("constant", "wrapped")})
    report("P2", "parallel sequential scan: wrapped / constant, wall time",
           Ratio(found["wrapped"], found["constant"]), None,
           f"`{QUERY}` with 2 workers, wall time")


def run():
    data = history(SMALL)
    fill(data)
    by_index = [SERIAL, "SET enable_seqscan = off", "SET enable_bitmapscan = off"]
    compare(data, "index scan", 80, by_index, "Index Scan")
    within_transaction(data, 40, by_index, "Index Scan")
    compare(data, "sequential scan", 3, [SERIAL, SEQUENTIAL], "Seq Scan")
    workers(data)
