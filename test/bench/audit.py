"""P5: what the audit trigger adds to a change; P11: sealing and verification."""
from data import SMALL, history
from measure import Figure, Options, Ratio, in_turn, one_line, psql, report, skip
from pq import Connection
from twins import twins

ROWS = 10_000
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
CREATE TRIGGER audit AFTER UPDATE ON bench.doc_difference FOR EACH ROW EXECUTE FUNCTION twin.audit('doc', 'id', '');
CREATE TRIGGER audit AFTER UPDATE ON bench.doc_whole FOR EACH ROW EXECUTE FUNCTION twin.audit_whole();
CREATE TRIGGER audit AFTER UPDATE ON bench.doc_statement REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION twin.audit_statement();
"""
SINGLE = "UPDATE bench.doc_{} SET title = $2, changed_at = now() WHERE id = bench.id(8, $1)"
BULK = "UPDATE bench.doc_{} SET n = n + 1"


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
        superuser.run(PLPGSQL + "SELECT usermgmt.activate()")
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


def bulk(data):
    """10,000 rows; each round is rolled back and vacuumed, so that none finds more than another."""
    connections = {name: Connection(data.name, synchronous_commit="off") for name in TABLES}

    def change(name):
        connection = connections[name]
        connection.run("BEGIN")
        cost = connection.cost(1, lambda _: connection.call(BULK.format(name)))
        connection.run("ROLLBACK")
        connection.run(f"VACUUM bench.doc_{name}")
        return cost
    found = in_turn(Options.rounds, {name: lambda n=name: change(n) for name in TABLES})
    for connection in connections.values():
        connection.close()
    best = [min(pair) for pair in zip(found["difference"], found["statement"])]
    how = f"`{BULK.format('…')}`, {ROWS} rows, processor time"
    report("P5", f"{ROWS} rows: audited / not audited", Ratio(found["ours"], found["none"]), "≤ 2.8", how)
    report("P5", f"{ROWS} rows: the best PL/pgSQL of the same contents / audited",
           Ratio(best, found["ours"]), "≥ 3", how + "; the better of a row and a statement trigger")


def sealing():
    """P11, where this build seals."""
    data = history(SMALL)
    with data.operator_connection() as operator:
        if operator.one("SELECT count(*) FROM pg_proc WHERE proname IN ('audit_seal', 'audit_verify')"
                        " AND pronamespace = 'usermgmt'::regnamespace") != "2":
            skip("P11", "this build has no audit_seal() and audit_verify()")
            return
        operator.run("SELECT usermgmt.audit_seal()")
        insert = ("UPDATE bench.doc_ours SET n = n + 1")
        writing, sealing_cost, verifying = [], [], []
        for _ in range(Options.rounds):
            writing.append(operator.cost(1, lambda _: operator.call(insert)))
            sealing_cost.append(operator.cost(1, lambda _: operator.call("SELECT usermgmt.audit_seal()")))
        events = int(operator.one("SELECT count(*) FROM usermgmt.audit_event"))
        for _ in range(Options.rounds):
            cost = operator.cost(1, lambda _: operator.call("SELECT count(*) FROM usermgmt.audit_verify()"))
            verifying.append(events / cost * 1e6)
    report("P11", f"sealing {ROWS} events / the change that wrote them, processor time",
           Ratio(sealing_cost, writing), "≤ 0.10", f"`SELECT usermgmt.audit_seal()` / `{insert}`")
    report("P11", "verified per second of processor time", Figure.of(verifying, "events/s"), "≥ 200000",
           f"`SELECT usermgmt.audit_verify()`, {events} events")


def run():
    data = twins()
    fill(data)
    single(data)
    bulk(data)
    sealing()
