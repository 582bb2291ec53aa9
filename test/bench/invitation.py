"""P3 and P4: inviting, and accepting, beside the rows that they write."""
import multiprocessing
import os
import shutil
import subprocess
import time

from data import ROOT
from machine import Sodium
from measure import WORK, Options, Pgbench, Ratio, Stopwatch, in_turn, one_line, psql, report, skip
from pq import Connection, settle
from twins import twins

BIND = """\\if :first
SELECT * FROM usermgmt.use_session(:token, 'connection');
\\set first 0
\\endif
"""
OURS = """\\set n random(1, 1000000000000000)
SELECT * FROM usermgmt.invite_user(email => 'a' || :n || '@example.com', name => 'Some Body');
"""
TWIN = """\\set n random(1, 1000000000000000)
SELECT * FROM twin.invite_user(email => 'a' || :n || '@example.com', name => 'Some Body');
"""
# The rows that invite_user() leaves, but for that of the count, in one statement.
RAW = """\\set n random(1, 1000000000000000)
WITH i AS (
	INSERT INTO raw.invitation (invitation_id, tenant_id, email, canonical_email, name, role, state, invited_by,
		invited_by_email, created_at, queued_at, expires_at)
	VALUES (gen_random_uuid(), :tenant, 'a' || :n || '@example.com', 'a' || :n || '@example.com', 'Some Body', 'member',
		'pending', :owner, 'olivia@acme.example', now(), now(), now() + interval '7 days')
	RETURNING *
), o AS (
	INSERT INTO raw.outbox (message_id, tenant_id, kind, subject_id, recipient, recipient_name, due_at, expires_at, created_at)
	SELECT gen_random_uuid(), tenant_id, 'invitation', invitation_id, email, name, now(), expires_at, now() FROM i
)
INSERT INTO raw.audit_event (tenant_id, event_id, occurred_at, actor_user_id, actor_email, actor_db_role, session_id,
	action, object_type, object_id, subject_email, new, transaction_id, epoch)
SELECT tenant_id, gen_random_uuid(), now(), invited_by, invited_by_email, session_user, :session, 'invitation.created',
	'invitation', invitation_id::text, email, jsonb_build_object('invitation_id', invitation_id, 'tenant_id', tenant_id,
		'email', email, 'name', name, 'role', role, 'message', message, 'state', state, 'generation', generation,
		'invited_by', invited_by, 'invited_by_email', invited_by_email, 'created_at', created_at, 'queued_at', queued_at,
		'expires_at', expires_at, 'accepted_at', accepted_at, 'accepted_by', accepted_by, 'revoked_at', revoked_at,
		'revoked_by', revoked_by, 'revoke_reason', revoke_reason, 'declined_at', declined_at),
	pg_current_xact_id(), 0
FROM i;
"""
GUESTS = 60  # a round of acceptances
NEWCOMERS = 30  # acceptances of each client in a round
NEXT_GUEST = "SELECT link FROM bench.guest WHERE n = (SELECT nextval('bench.next'))"
NEW_PASSWORD = "seven quiet lanterns on the bridge"
HASH_ALONE = "SELECT bench.bare_hash();\n"
FOREIGN = "b"  # the tenant that people of acme are invited to
ACCEPT = "SELECT outcome FROM usermgmt.accept_invitation($1)"
# The rows that accept_invitation() leaves of somebody who has an account.
RAW_ACCEPT = """WITH i AS (
	UPDATE raw.invitation SET state = 'accepted', accepted_at = now(), accepted_by = $2, holds_seat = false
	WHERE invitation_id = $1 AND state = 'pending' RETURNING *
), m AS (
	INSERT INTO raw.membership (tenant_id, user_id, role, joined_at, last_login_at, last_seen_at)
	SELECT tenant_id, accepted_by, role, now(), now(), now() FROM i RETURNING *
), c AS (
	INSERT INTO raw.member_count (tenant_id, role, status, logged_in_on, count_id, n)
	SELECT i.tenant_id, k.role, 'active', k.day, gen_random_uuid(), 1
	FROM i, LATERAL (VALUES (i.role, 'infinity'::date), ('any', current_date)) AS k (role, day)
), h AS (
	INSERT INTO raw.membership_history (tenant_id, user_id, workspace_id, valid, role, status, changed_by, database_role,
		transaction_id)
	SELECT tenant_id, accepted_by, '00000000-0000-0000-0000-000000000000', tstzrange(now(), NULL), role, 'active', accepted_by,
		session_user, pg_current_xact_id()
	FROM i
), o AS (
	UPDATE raw.outbox SET state = 'cancelled', finished_at = now(), reply = 'accepted'
	WHERE subject_id = $1 AND state IN ('queued', 'claimed')
), s AS (
	INSERT INTO raw.session (session_id, tenant_id, user_id, token_hash, role, email, state, created_at, last_used_at, expires_at)
	SELECT gen_random_uuid(), tenant_id, accepted_by, sha256('x'), role, email, 'open', now(), now(), now() + interval '8 hours' FROM i
	RETURNING *
)
INSERT INTO raw.audit_event (tenant_id, event_id, occurred_at, actor_user_id, actor_email, actor_db_role, action, object_type,
	object_id, subject_email, old, new, transaction_id, epoch)
SELECT i.tenant_id, gen_random_uuid(), now(), i.accepted_by, i.email, session_user, e.action, e.kind, e.id::text, i.email, e.old,
	e.new, pg_current_xact_id(), 0
FROM i, m, s, LATERAL (VALUES
	('invitation.accepted', 'invitation', i.invitation_id, jsonb_build_object('state', 'pending', 'accepted_at', NULL, 'accepted_by', NULL),
		jsonb_build_object('state', i.state, 'accepted_at', i.accepted_at, 'accepted_by', i.accepted_by)),
	('user.joined', 'user', i.accepted_by, NULL, to_jsonb(m)),
	('session.started', 'session', s.session_id, NULL, to_jsonb(s) - 'token_hash')
) AS e (action, kind, id, old, new)"""


def invite():
    data = twins()
    for clients in (1, 8):
        ours = Pgbench(data.name, clients, "bench_app")
        ours.variables = {"first": 1, "token": data.owner_token}
        with Connection(data.name) as operator:
            session = operator.one("SELECT session_id FROM usermgmt.session"
                                   f" WHERE user_id = '{data.owner}' LIMIT 1")
        twin = Pgbench(data.name, clients, "bench_app", **{"twin.token": f"{session}.{session}"})
        raw = Pgbench(data.name, clients)
        raw.variables = {"tenant": data.tenant, "owner": data.owner, "session": session}
        found = in_turn(Options.rounds + 2, {
            "raw": lambda: raw.rate(RAW), "ours": lambda: ours.rate(BIND + OURS),
            "twin": lambda: twin.rate(TWIN)})
        crowd = f"{clients} client{'s' * (clients > 1)}"
        report("P3", f"invite_user / its bare rows, {crowd}", Ratio(found["ours"], found["raw"]),
               "≥ 0.70" if clients == 1 else "≥ 0.60",
               f"{ours.shown(OURS)} / `{one_line(RAW)}` (test/bench/invitation.py)")
        report("P3", f"invite_user / its PL/pgSQL twin, {crowd}",
               Ratio(found["ours"], found["twin"]), "≥ 1.00",
               f"the same / `{one_line(TWIN)}` (test/bench/twins.sql)")


def invite_processor_time():
    data = twins()
    with Connection(data.name) as operator:
        session = operator.one("SELECT session_id FROM usermgmt.session"
                               f" WHERE user_id = '{data.owner}' LIMIT 1")
    quick = {"synchronous_commit": "off"}
    with data.owner_connection(**quick) as ours, \
            Connection(data.name, "bench_app", **{"twin.token": f"{session}.{session}"}, **quick) as twin, \
            Connection(data.name, **quick) as raw:
        statement = RAW.split("\n", 1)[1]
        for name, value in (("tenant", f"'{data.tenant}'"), ("owner", f"'{data.owner}'"),
                            ("session", f"'{session}'"), ("n", "$1::text")):
            statement = statement.replace(f":{name}", value)
        number = iter(range(10**9))
        found = in_turn(Options.rounds * 4, {
            "ours": lambda: ours.cost(100, lambda _: ours.call(
                "SELECT * FROM usermgmt.invite_user(email => $1, name => 'Some Body')",
                f"c{next(number)}@example.com")),
            "twin": lambda: twin.cost(100, lambda _: twin.call(
                "SELECT * FROM twin.invite_user(email => $1, name => 'Some Body')",
                f"c{next(number)}@example.com")),
            "raw": lambda: raw.cost(100, lambda _: raw.call(statement, f"c{next(number)}"))})
    for name, what in (("raw", "its bare rows"), ("twin", "its PL/pgSQL twin")):
        report("P3", f"server time: {what} / invite_user", Ratio(found[name], found["ours"]), None,
               "processor time of the backend, 100 calls a round, synchronous_commit = off")


def guests(data, number):
    """People of acme with a session there and a link to the other tenant."""
    with Connection(data.name) as operator:
        if operator.one(f"SELECT count(*) FROM usermgmt.tenant WHERE slug = '{FOREIGN}'") == "0":
            operator.run(f"SELECT usermgmt.create_tenant('{FOREIGN}', 'B', 'b@b.example')")
        operator.run("SELECT usermgmt.use_tenant('acme')")
        people = [row[0] for row in operator.run(
            "SELECT m.user_id FROM usermgmt.membership AS m WHERE m.status = 'active'"
            " AND NOT EXISTS (SELECT FROM usermgmt.invitation AS i JOIN usermgmt.account AS a"
            " USING (canonical_email) WHERE a.user_id = m.user_id)"
            f" AND m.role = 'member' ORDER BY m.user_id LIMIT {number}")]
        found = [{"user": user, "session": operator.one(
            f"SELECT session_token FROM usermgmt.start_session('{user}')")} for user in people]
        operator.run(f"SELECT usermgmt.use_tenant('{FOREIGN}')")
        for guest in found:
            guest["invitation"] = operator.one(
                "SELECT invitation_id FROM usermgmt.account AS a, usermgmt.invite_user(a.email)"
                f" WHERE a.user_id = '{guest['user']}'")
            guest["link"] = operator.one(
                f"SELECT usermgmt.invitation_link('{guest['invitation']}')").split("token=")[1]
        operator.run("INSERT INTO raw.tenant SELECT * FROM usermgmt.tenant ON CONFLICT DO NOTHING;"
                     " INSERT INTO raw.invitation SELECT * FROM usermgmt.invitation ON CONFLICT DO NOTHING;"
                     " INSERT INTO raw.outbox SELECT * FROM usermgmt.outbox ON CONFLICT DO NOTHING")
    return found


def accept():
    """Acceptance by somebody who is signed in, so that nothing is hashed."""
    data = twins()
    rounds = Options.rounds + 2
    people = guests(data, GUESTS * rounds)
    walls = {"ours": [], "raw": []}
    costs = {"ours": [], "raw": []}

    def timed(connection, sums, sql, *values):
        began, watch = connection.processor(), Stopwatch()
        answer = connection.call(sql, *values)
        wall = watch.microseconds()
        settle()
        sums[0] += connection.processor() - began
        sums[1] += wall
        return answer

    with Connection(data.name, "bench_app") as ours, Connection(data.name) as raw:
        for number in range(rounds):
            sums = {"ours": [0, 0], "raw": [0, 0]}
            for guest in people[number * GUESTS:(number + 1) * GUESTS]:
                ours.call("SELECT usermgmt.use_session($1, 'connection')", guest["session"])
                outcome = timed(ours, sums["ours"], ACCEPT, guest["link"])
                if outcome != [["ok"]]:
                    raise RuntimeError(f"accept_invitation: {outcome}")
                timed(raw, sums["raw"], RAW_ACCEPT, guest["invitation"], guest["user"])
            for name, (cost, wall) in sums.items():
                costs[name].append(cost)
                walls[name].append(wall)
    how = f"`{ACCEPT}` with the person's session / `{one_line(RAW_ACCEPT)}`, {GUESTS} people a round"
    report("P4", "accept_invitation without a hash / its bare rows, 1 client",
           Ratio(walls["raw"], walls["ours"]), "≥ 0.60", how + ", wall time with commit")
    report("P4", "server time: the bare rows / accept_invitation",
           Ratio(costs["raw"], costs["ours"]), None, how + ", processor time")


def bare_hashes(seconds):
    """Hashes per second of a process."""
    hasher = Sodium()
    count, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        hasher.hash()
        count += 1
    return count / (time.monotonic() - began)


def make_hash_function(data):
    """bench.bare_hash(): the hash alone, in a backend. False, having said why, where it cannot be built."""
    library = os.path.join(WORK, "bare_hash.so")
    headers = subprocess.run(["pg_config", "--includedir-server"], capture_output=True, text=True, check=True).stdout.strip()
    compiler = shutil.which("cc") or "gcc"
    built = subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-I", headers, "-o", library, f"{ROOT}/bare_hash.c", "-lsodium"],
                           capture_output=True, text=True, check=False)
    if built.returncode != 0:
        skip("P4", f"bare_hash.c: {built.stderr}")
        return False
    psql(data.name, "-c", f"CREATE FUNCTION bench.bare_hash() RETURNS boolean LANGUAGE c AS '{library}'")
    return True


def newcomers(data, number):
    """Links of people without an account, as bench.guest."""
    with data.operator_connection(synchronous_commit="off") as operator:
        operator.run(f"ALTER DATABASE {data.name} SET usermgmt.hash_wait = '60s'")
        operator.run("CREATE TABLE bench.guest (n serial, link text);"
                     " CREATE SEQUENCE bench.next; GRANT USAGE ON SCHEMA bench TO bench_app;"
                     " GRANT SELECT ON bench.guest TO bench_app; GRANT ALL ON bench.next TO bench_app")
        operator.run(f"INSERT INTO bench.guest (link) SELECT split_part(usermgmt.invitation_link(i.invitation_id),"
                     f" 'token=', 2) FROM generate_series(1, {number}) AS n,"
                     f" LATERAL (SELECT * FROM usermgmt.invite_user('h' || n || '@example.com')) AS i;"
                     " ALTER TABLE bench.guest ADD PRIMARY KEY (n); ANALYZE bench.guest")


def accept_with_hash():
    """New people: twice as many at a time as there are cores, so that one hashes while another commits."""
    data = twins()
    cores = os.cpu_count()
    seconds = max(4, Options.seconds)
    rounds = max(3, Options.rounds // 2)
    alone = Options.rounds * 10
    hasher = Sodium()
    newcomers(data, NEWCOMERS * 2 * cores * rounds + alone)
    script = (f"{NEXT_GUEST} \\gset\n"
              f"SELECT outcome FROM usermgmt.accept_invitation(:link, '{NEW_PASSWORD}');\n")
    pgbench = Pgbench(data.name, 2 * cores, "bench_app")
    # As a backend is, each is a session of its own: the scheduler shares by these.
    with multiprocessing.Pool(cores, os.setsid) as pool:
        variants = {"ours": lambda: pgbench.rate(script, transactions=NEWCOMERS),
                    "bare": lambda: sum(pool.map(bare_hashes, [seconds] * cores))}
        if make_hash_function(data):
            alone_there = Pgbench(data.name, cores, "bench_app")  # as many as have a slot
            variants["backend"] = lambda: alone_there.rate(HASH_ALONE, transactions=2 * NEWCOMERS)
        found = in_turn(rounds, variants)
    report("P4", f"accept_invitation with a new password / bare libsodium, {cores} cores",
           Ratio(found["ours"], found["bare"]), "≥ 0.95",
           f"{pgbench.shown(script, f'-t {NEWCOMERS}')} / crypto_pwhash_str() in {cores} processes, 64 MiB, 3 passes")
    if "backend" in found:
        how = alone_there.shown(HASH_ALONE, f"-t {2 * NEWCOMERS}") + " (bare_hash.c)"
        report("P4", f"accept_invitation with a new password / the hash alone in {cores} backends",
               Ratio(found["ours"], found["backend"]), None, f"as above / {how}")
        report("P4", f"the hash alone in {cores} backends / bare libsodium, {cores} cores",
               Ratio(found["backend"], found["bare"]), None, f"{how} / as above")

    def bare():
        began = time.thread_time_ns()
        hasher.hash()
        return time.thread_time_ns() - began

    def ours(connection):
        link = connection.call(NEXT_GUEST)[0][0]
        return connection.cost(1, lambda _: connection.call(
            f"SELECT outcome FROM usermgmt.accept_invitation($1, '{NEW_PASSWORD}')", link))
    with Connection(data.name, "bench_app", synchronous_commit="off") as connection:
        found = in_turn(alone, {"bare": bare, "ours": lambda: ours(connection) * 1000})
    report("P4", "server time: bare libsodium / accept_invitation with a new password",
           Ratio(found["bare"], found["ours"]), None, f"processor time, one after the other, {alone} times")


def run():
    invite()
    invite_processor_time()
    accept()
    accept_with_hash()
