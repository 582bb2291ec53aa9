"""P5: what the audit trigger adds to a change; P11: sealing and verification."""
import statistics
import threading

from data import SMALL, history
from machine import Beside
from measure import Figure, Options, Pgbench, Ratio, in_turn, one_line, psql, report
from pq import Connection
from twins import twins

ROWS = 10_000
# Changes before anything is measured: below some 40,000 events the trail's indexes are lower than those of one in use,
# and PostgreSQL looks for the end of the index anew for each entry.
EARLIER = 10
TABLES = ("none", "ours", "difference", "whole", "statement")
# The best PL/pgSQL that can be written: once per statement, the same contents.
PLPGSQL = """
CREATE FUNCTION twin.audit_whole() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO twin.audit_event (tenant_id, event_id, occurred_at, actor_db_role, action, object_type, object_id, old, new,
		transaction_id, epoch)
	VALUES (NEW.tenant_id, gen_random_uuid(), clock_timestamp(), session_user, 'doc.updated', 'doc', NEW.id::text,
		to_jsonb(OLD), to_jsonb(NEW), pg_current_xact_id(), 0);
	RETURN NULL;
END $$;
CREATE FUNCTION twin.audit_statement() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO twin.audit_event (tenant_id, event_id, occurred_at, actor_db_role, action, object_type, object_id, old, new,
		transaction_id, epoch)
	SELECT after.tenant_id, gen_random_uuid(), clock_timestamp(), session_user, 'doc.updated', 'doc', after.id::text, d.old, d.new,
		pg_current_xact_id(), 0
	FROM new_rows AS after JOIN old_rows AS before ON before.id = after.id
	CROSS JOIN LATERAL (
		SELECT jsonb_object_agg(b.key, b.value) AS old, jsonb_object_agg(a.key, a.value) AS new
		FROM jsonb_each(to_jsonb(before)) AS b JOIN jsonb_each(to_jsonb(after)) AS a USING (key)
		WHERE a.value IS DISTINCT FROM b.value
	) AS d
	WHERE d.new IS NOT NULL;
	RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER UPDATE ON bench.doc_ours REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.audit_change('doc', 'id');
CREATE TRIGGER audit AFTER UPDATE ON bench.usual_ours REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.audit_change('doc', 'id');
CREATE TRIGGER audit AFTER UPDATE ON bench.doc_difference FOR EACH ROW EXECUTE FUNCTION twin.audit('doc', 'id', '');
CREATE TRIGGER audit AFTER UPDATE ON bench.doc_whole FOR EACH ROW EXECUTE FUNCTION twin.audit_whole();
CREATE TRIGGER audit AFTER UPDATE ON bench.doc_statement REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION twin.audit_statement();
"""
SINGLE = "UPDATE bench.doc_{} SET title = $2, changed_at = now() WHERE id = bench.id(8, $1)"
BULK = "UPDATE bench.doc_{} SET n = n + 1"
# A table as it is made every day: full pages, random keys, a second index, and a change that says when it was made.
USUAL = """
CREATE TABLE bench.usual_{} (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tenant_id uuid NOT NULL, title text NOT NULL,
	body text NOT NULL, n integer NOT NULL, price numeric NOT NULL, is_public boolean NOT NULL, tags jsonb NOT NULL,
	made_at timestamptz NOT NULL DEFAULT now(), changed_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON bench.usual_{} (tenant_id);
INSERT INTO bench.usual_{} (tenant_id, title, body, n, price, is_public, tags)
	SELECT '{tenant}', 'title ' || i, repeat('some text ', 20), i, i / 100.0, true, '["a", "b"]' FROM generate_series(1, {rows}) AS i;
"""
USUAL_BULK = "UPDATE bench.usual_{} SET n = n + 1, changed_at = now()"
# The rows of its events and nothing else, ready in a table, into a copy of the trail.
BARE = "INSERT INTO bench.bare_trail SELECT * FROM bench.ready"
ONE_ROW = f"""\\set i random(1, {ROWS})
UPDATE bench.doc_ours SET changed_at = now() WHERE id = bench.id(8, :i);
"""
SEALED_ROWS = 2000
SEALING_ROUND = 6  # a round with sealing is so many times as long as others


def fill(data):
    with Connection(data.name) as superuser:
        for name in TABLES:
            superuser.run(f"""
                CREATE TABLE bench.doc_{name} (id uuid PRIMARY KEY, tenant_id uuid NOT NULL, title text NOT NULL,
                    body text NOT NULL, n integer NOT NULL, price numeric NOT NULL, is_public boolean NOT NULL,
                    tags jsonb NOT NULL, made_at timestamptz NOT NULL, changed_at timestamptz NOT NULL) WITH (fillfactor = 50);
                INSERT INTO bench.doc_{name} SELECT bench.id(8, i), '{data.tenant}', 'title ' || i,
                    'the body of document ' || i, i, i / 100.0, true, '["a", "b"]', now(), now()
                    FROM generate_series(1, {ROWS}) AS i""")
        for name in ("none", "ours"):
            superuser.run(USUAL.replace("usual_{}", f"usual_{name}").format(tenant=data.tenant, rows=ROWS))
        superuser.run(PLPGSQL + "SELECT usermgmt.activate()")
        for _ in range(EARLIER):
            superuser.run(BULK.format("ours"))
            superuser.run("VACUUM bench.doc_ours")
        superuser.run("CREATE TABLE bench.bare_trail (LIKE usermgmt.audit_event INCLUDING ALL);"
                      "INSERT INTO bench.bare_trail SELECT * FROM usermgmt.audit_event;"
                      "INSERT INTO twin.audit_event SELECT * FROM usermgmt.audit_event ON CONFLICT DO NOTHING")
        superuser.run(BULK.format("ours"))
        superuser.run("CREATE TABLE bench.ready AS SELECT * FROM usermgmt.audit_event"
                      " WHERE transaction_id = (SELECT max(transaction_id) FROM usermgmt.audit_event) ORDER BY event_id")
    psql(data.name, "-c", "VACUUM ANALYZE")


def single(data):
    number = iter(range(10**9))
    connections = {name: Connection(data.name, synchronous_commit="off") for name in TABLES}
    found = in_turn(Options.rounds * 4, {
        name: lambda n=name: connections[n].cost(200, lambda _: connections[n].call(
            SINGLE.format(n), next(number) % ROWS + 1, f"title {next(number)}"))
        for name in TABLES})
    for connection in connections.values():
        connection.close()
    added = {name: [a - b for a, b in zip(found[name], found["none"])] for name in TABLES}
    how = (f"`{SINGLE.format('…')}`, processor time less that of the table without a trigger,"
           " 200 statements a round")
    report("P5", "single row: what ours adds / what PL/pgSQL with the difference adds",
           Ratio(added["ours"], added["difference"]), "≤ 0.33", how)
    report("P5", "single row: what ours adds / what PL/pgSQL with whole rows adds",
           Ratio(added["ours"], added["whole"]), "≤ 0.67", how)


def per_row(found, speed):
    """What a row costs without and with audit, for the notes."""
    plain, audited = (statistics.median(found[name]) / ROWS for name in ("none", "ours"))
    return (f"; {plain:.2g} µs a row without audit and {audited:.2g} with it, at the reference speed"
            f" {plain * speed.factor():.2g} and {audited * speed.factor():.2g}")


def usual_bulk(data):
    """The same change of an ordinary table. Each is kept, and the table vacuumed as autovacuum would before the next:
    its rows move to the other half of its pages each time."""
    connections = {name: Connection(data.name, synchronous_commit="off") for name in ("none", "ours")}

    def change(name):
        cost = connections[name].cost(1, lambda _: connections[name].call(USUAL_BULK.format(name)))
        connections[name].run(f"VACUUM (ANALYZE) bench.usual_{name}")
        return cost
    variants = {name: lambda n=name: change(n) for name in connections}
    in_turn(2, variants)
    with Beside() as speed:
        found = in_turn(Options.rounds, variants)
    for connection in connections.values():
        connection.close()
    report("P5", f"{ROWS} rows, ordinary table: audited / not audited", Ratio(found["ours"], found["none"]),
           None, f"`{USUAL_BULK.format('…')}`, full pages, random keys, an index by tenant, wider rows, processor time"
           + per_row(found, speed))


def bulk(data):
    """10,000 rows; each round is rolled back and vacuumed, so that none finds more than another."""
    changes = {name: (f"bench.doc_{name}", BULK.format(name)) for name in TABLES}
    changes["bare"] = ("bench.bare_trail", BARE)
    connections = {name: Connection(data.name, synchronous_commit="off") for name in changes}

    def change(name):
        table, statement = changes[name]
        connection = connections[name]
        connection.run("BEGIN")
        cost = connection.cost(1, lambda _: connection.call(statement))
        connection.run("ROLLBACK")
        connection.run(f"VACUUM {table}")
        return cost
    with Beside() as speed:
        found = in_turn(Options.rounds, {name: lambda n=name: change(n) for name in changes})
    for connection in connections.values():
        connection.close()
    best = [min(pair) for pair in zip(found["difference"], found["statement"])]
    how = (f"`{BULK.format('…')}`, {ROWS} rows, half of each page free, no index entry made, a trail of more than"
           f" {EARLIER * ROWS} events, processor time")
    report("P5", f"{ROWS} rows, cheapest table: audited / not audited",
           Ratio(found["ours"], found["none"]), "≤ 2.8", how + per_row(found, speed))
    least = [sum(pair) for pair in zip(found["none"], found["bare"])]
    report("P5", f"{ROWS} rows, cheapest table: audited / not audited plus the bare rows of the events",
           Ratio(found["ours"], least), None, f"{how}; and `{BARE}`")
    report("P5", f"{ROWS} rows, cheapest table: the best PL/pgSQL of the same contents / audited",
           Ratio(best, found["ours"]), "≥ 3", how + "; the better of a row and a statement trigger")


def seal_each_second(data, stop, sealed):
    """Seals until told to stop, and notes how many events each time."""
    with data.operator_connection() as operator:
        while not stop.wait(1):
            sealed.append(int(operator.one("SELECT usermgmt.audit_seal()")))


def audited_rate(data, operator, clients, sealed):
    """Audited transactions per second; while sealing goes on, where there is a list for its counts.
    What earlier rounds left is sealed before."""
    operator.run("SELECT usermgmt.audit_seal()")
    stop = threading.Event()
    sealer = threading.Thread(target=seal_each_second, args=(data, stop, sealed))
    if sealed is not None:
        sealer.start()
    rate = Pgbench(data.name, clients).rate(ONE_ROW, seconds=SEALING_ROUND * Options.seconds)
    stop.set()
    if sealed is not None:
        sealer.join()
    return rate


def sealing_beside():
    """P11 as it is said: what sealing takes from those who write the events."""
    data = history(SMALL)
    with data.operator_connection() as operator:
        for clients in (1, 8):
            sealed = []
            found = in_turn(Options.rounds, {
                "alone": lambda n=clients: audited_rate(data, operator, n, None),
                "sealed": lambda n=clients, counts=sealed: audited_rate(data, operator, n, counts)})
            report("P11", f"audited transactions while sealing / without, {clients} client{'s' * (clients > 1)}",
                   Ratio(found["sealed"], found["alone"]), "≥ 0.90",
                   f"`pgbench -n -M prepared -c {clients}`: `{one_line(ONE_ROW)}`; sealed once a second, "
                   f"{sum(sealed)} events in {len(sealed)} calls")


def sealing_alone():
    """What sealing and verifying cost by themselves."""
    data = history(SMALL)
    seal, bulk_change = "SELECT usermgmt.audit_seal()", BULK.format("ours")
    one_row = SINGLE.format("ours")
    found = {name: [] for name in ("bulk", "after bulk", "single", "after single", "verified")}
    with data.operator_connection(synchronous_commit="off") as operator:
        operator.run(seal)
        for number in range(Options.rounds):
            found["bulk"].append(operator.cost(1, lambda _: operator.call(bulk_change)))
            found["after bulk"].append(operator.cost(1, lambda _: operator.call(seal)))
            found["single"].append(SEALED_ROWS * operator.cost(SEALED_ROWS, lambda n: operator.call(
                one_row, n + 1, f"sealed {number}")))
            found["after single"].append(operator.cost(1, lambda _: operator.call(seal)))
        events = int(operator.one("SELECT count(*) FROM usermgmt.audit_event"))
        with Beside() as speed:
            for _ in range(Options.rounds):
                cost = operator.cost(1, lambda _: operator.call("SELECT count(*) FROM usermgmt.audit_verify()"))
                found["verified"].append(events / cost * 1e6)
    report("P11", f"sealing {SEALED_ROWS} events / the single-row changes that wrote them, processor time",
           Ratio(found["after single"], found["single"]), None, f"`{seal}` / `{one_row}`, each a transaction")
    report("P11", f"sealing {ROWS} events / the bulk change that wrote them, processor time",
           Ratio(found["after bulk"], found["bulk"]), None, f"`{seal}` / `{bulk_change}`")
    rate = Figure.of(found["verified"], "events/s")
    report("P11", "verified per second of processor time", rate, "≥ 200000",
           f"`SELECT usermgmt.audit_verify()`, {events} events{speed.note(rate)}")


def run():
    data = twins()
    fill(data)
    single(data)
    bulk(data)
    usual_bulk(data)
    sealing_beside()
    sealing_alone()
