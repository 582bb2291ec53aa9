"""P2: current_tenant_id() in a row-security policy, on a million rows."""
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


def connect(data, *settings):
    """A connection for each policy, with the owner's session bound."""
    connections = {}
    for name in POLICIES:
        connections[name] = connection = Connection(
            data.name, f"bench_{name}", **{"bench.tenant": data.tenant})
        connection.run(f"SELECT usermgmt.use_session('{data.owner_token}', 'connection')")
        for setting in settings:
            connection.run(setting)
        if connection.run(QUERY)[0][0] != str(ROWS // TENANTS):
            raise RuntimeError(f"the policy {name} shows other rows")
    return connections


def plan_of(connection):
    return "\n".join(row[0] for row in connection.run("EXPLAIN " + QUERY))


def compare(data, kind, calls, settings, node):
    connections = connect(data, *settings)
    for name, connection in connections.items():
        if node not in plan_of(connection):
            raise RuntimeError(f"{name}: no {node} in {plan_of(connection)}")
    found = in_turn(Options.rounds * 4 + 1, {
        name: lambda c=connection: c.cost(calls, lambda n: c.call(QUERY))
        for name, connection in connections.items()})
    how = f"`{QUERY}`, {node}, processor time; policy `{{}}` / `{{}}`"
    for name in ("wrapped", "bare"):
        report("P2", f"{kind}: {name} current_tenant_id() / constant",
               Ratio(found[name], found["constant"]), "≤ 1.05" if name == "wrapped" else None,
               how.format(POLICIES[name], POLICIES["constant"]))
    report("P2", f"{kind}: current_setting()::uuid / current_tenant_id()",
           Ratio(found["setting"], found["wrapped"]), "≥ 6" if kind == "sequential scan" else None,
           how.format(POLICIES["setting"], POLICIES["wrapped"]))
    for connection in connections.values():
        connection.close()


def workers(data):
    """Whether the scan stays parallel, and what that costs in wall time."""
    connections = connect(data, SEQUENTIAL, PARALLEL)
    for name, wanted in (("wrapped", 1), ("bare", None)):
        parallel = "Gather" in plan_of(connections[name])
        report("P2", f"parallel plan with {name} current_tenant_id() (1: yes, 0: no)",
               Figure(int(parallel), ""), "≥ 1" if wanted else None,
               f"`EXPLAIN {QUERY}` with the policy `{POLICIES[name]}`")

    def wall(connection):
        watch = Stopwatch()
        connection.call(QUERY)
        return watch.microseconds()
    found = in_turn(Options.rounds * 2 + 1, {
        name: lambda c=connections[name]: wall(c) for name in ("constant", "wrapped")})
    report("P2", "parallel sequential scan: wrapped / constant, wall time",
           Ratio(found["wrapped"], found["constant"]), None,
           f"`{QUERY}` with 2 workers, wall time")
    for connection in connections.values():
        connection.close()


def run():
    data = history(SMALL)
    fill(data)
    compare(data, "index scan", 150, [SERIAL, "SET enable_seqscan = off", "SET enable_bitmapscan = off"],
            "Index Scan")
    compare(data, "sequential scan", 1, [SERIAL, SEQUENTIAL], "Seq Scan")
    workers(data)
