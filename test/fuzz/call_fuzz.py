#!/usr/bin/python3
"""R21: odd arguments for every function that anybody may call, by everybody.

Each function of the schema is called with plausible arguments (probe.call of
test/t/lib/permissions.sql), some replaced by boundary values of their type, in
random forms and transactions, on several connections at once. Whatever fails
must fail with an SQLSTATE of the manual's table; afterwards nothing is broken.
The same seed makes the same calls; how connections interleave is chance. A soak
takes a new one each time.
"""
import argparse
import collections
import os
import random
import re
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "bench"))
# pylint: disable=wrong-import-position
from pq import Connection, SqlError
import values

BATCH = 40
HANG = 60  # seconds; a statement is ended then
# Who calls, on a connection of which role.
ACTORS = {"no session": "application", "member": "application", "admin": "application",
          "owner": "application", "other owner": "application", "operator": "operator",
          "relay": "relay", "auditor": "auditor", "superuser": "postgres"}
OFTEN = ["admin", "owner", "operator"]
# Each hashes a password with all the memory that this takes.
SLOW = {"log_in", "accept_invitation", "change_password", "reset_password", "sign_up",
        "request_email_change"}
# What probe.call does not have, for nobody but superusers may call it.
OWN_CALLS = {"grant_access": ["'fuzz_nobody'", "'application'"],
             "revoke_access": ["'fuzz_nobody'", "'application'"],
             "mail_time": ["now()"], "check_references": [], "inventory_now": [],
             "known_email": ["probe.id('acme')", "probe.id('acme_bob')"],
             "session_move_last_use": ["probe.id('acme_bob_session')", "probe.id('acme')", "now()"],
             "activity_move_last_seen": ["probe.id('acme')", "probe.id('acme_bob')", "now()"]}
SETTINGS = ["TimeZone = 'America/St_Johns'", "DateStyle = 'German, DMY'", "IntervalStyle = sql_standard",
            "IntervalStyle = iso_8601", "search_path = ''", "search_path = fuzz, pg_temp, usermgmt",
            "work_mem = 64", "row_security = off", "plan_cache_mode = force_generic_plan",
            "plan_cache_mode = force_custom_plan", "enable_indexscan = off", "enable_seqscan = off",
            "force_parallel_mode = on", "jit_above_cost = 0", "extra_float_digits = -15",
            "bytea_output = escape", "standard_conforming_strings = on", "xmloption = document",
            "check_function_bodies = off", "transform_null_equals = on", "client_encoding = LATIN1",
            "default_transaction_deferrable = on",
            "usermgmt.session_token = 'x'", "max_parallel_workers_per_gather = 0", "lc_messages = 'de_DE'",
            "enable_material = off", "join_collapse_limit = 1", "array_nulls = off", "quote_all_identifiers = on"]
# What the fuzzer itself brings about: a cancel, a lock that is not waited for, a
# trigger that raises, a character that the client's encoding lacks.
CAUSED = {"57014", "55P03", "25P02", "27000", "P0001", "22P05"}
# What runs the triggers of somebody else: of an attached table, of the audit sink.
REENTRANT = ["UPDATE fuzz.reentrant SET owner_id = {identifier}", "UPDATE fuzz.reentrant SET pair = '(2,)', note = repeat('x', 3000)",
             "INSERT INTO fuzz.reentrant (tenant_id, owner_id) VALUES (probe.id('acme'), {identifier}), (probe.id('acme'), NULL)",
             "DELETE FROM fuzz.reentrant", "SELECT FROM usermgmt.remove_user(probe.id('acme_bob'), confirm => true)",
             "SELECT FROM usermgmt.preview_removal({identifier})",
             "SELECT FROM (SELECT usermgmt.set_audit_sink('fuzz.sink') OFFSET 0) AS s, LATERAL usermgmt.{sunk}"]
SUNK = ["remove_user(probe.id('acme_bob'), confirm => true)", "change_role(probe.id('acme_bob'), 'admin')",
        "create_workspace('sunk', 'Sunk')", "invite_user('sunk@acme.example')", "deactivate_user(probe.id('acme_ann'))",
        "erase_person(probe.id('acme_rex'))", "run_maintenance()", "suspend_tenant('sunk')"]
# What PostgreSQL says of plain SQL that does not fit a table.
ORDINARY = "22|23|42|428C9|0A000|2F0|55000|2BP01"


class Function:
    """One to call: its name, the types of its arguments, good ones."""

    def __init__(self, name, kinds, names, required, good):
        self.name, self.kinds, self.names = name, kinds, names
        self.required, self.good = required, good

    def arguments(self, chance):
        """Some as they should be, some not, and the last ones perhaps left out."""
        count = chance.randint(self.required, len(self.kinds))
        good = [self.good[n] if n < len(self.good) else None for n in range(count)]
        odd = chance.choice([0, 0, 0.15, 0.4, 1]) if self.good or not count else 1
        chosen = []
        for n, kind in enumerate(self.kinds[:count]):
            if good[n] is None and chance.random() < 0.7:
                chosen.append("NULL")
            elif good[n] is None or chance.random() < odd:
                chosen.append(values.value(chance, kind))
            else:
                chosen.append(good[n])
        while odd == 0 and len(chosen) < len(self.good):
            chosen.append(self.good[len(chosen)])
        if chosen and chance.random() < 0.1:
            return ", ".join(f'"{name}" => {value}' for name, value in zip(self.names, chosen))
        return ", ".join(chosen)

    def call(self, chance):
        """One statement with this function in it, in one of many forms."""
        call = f"usermgmt.{self.name}({self.arguments(chance)})"
        return chance.choice([
            "SELECT * FROM {}", "SELECT * FROM {}", "SELECT * FROM {}", "SELECT {}", "SELECT string_agg(r::text, '') FROM {} AS r",
            "SELECT to_jsonb(r) FROM {} AS r", "SELECT r FROM generate_series(1, 2) AS n, LATERAL {} AS r",
            "SELECT FROM generate_series(1, 2) AS n LEFT JOIN {} AS r ON n = 1", "SELECT (SELECT count(*) FROM {})",
            "SELECT {} IS NULL", "SELECT * FROM {} WITH ORDINALITY LIMIT 1", "WITH c AS (SELECT * FROM {}) TABLE c",
            "SELECT CASE WHEN random() < 2 THEN (SELECT count(*) FROM {}) END"]).format(call)


def read_functions(connection):
    """Every function of the schema by the roles that may execute it."""
    good = collections.defaultdict(list)
    for name, argument in connection.run("SELECT function, a FROM probe.call, unnest(arguments) WITH ORDINALITY AS u (a, n) ORDER BY function, n"):
        good[name].append(argument)
    may = collections.defaultdict(list)
    functions = {}
    for name, kinds, names, required, roles in connection.run("""
            SELECT p.proname, array_to_string(ARRAY(SELECT t.typname FROM unnest(p.proargtypes) WITH ORDINALITY AS a (oid, n)
                    JOIN pg_type AS t USING (oid) ORDER BY n), ' '),
                coalesce(array_to_string(p.proargnames[:p.pronargs], ' '), ''), p.pronargs - p.pronargdefaults,
                array_to_string(ARRAY(SELECT r FROM unnest(ARRAY['application', 'operator', 'relay', 'auditor', 'postgres']) AS r
                    WHERE has_function_privilege(r, p.oid, 'execute')), ' ')
            FROM pg_proc AS p WHERE p.pronamespace = 'usermgmt'::regnamespace
                AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
                AND p.proname NOT IN ('disarm', 'audit_attach')"""):
        functions[name] = Function(name, kinds.split(), names.split(), int(required),
                                   OWN_CALLS.get(name, good.get(name, [])))
        for role in roles.split():
            may[role] += [functions[name]] * (3 if name in SLOW else 12)
    plain = Statement([name for name, in connection.run("SELECT name FROM probe.public_relation")],
                      connection.run("""SELECT c.oid::regclass, quote_ident(a.attname) FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
                          WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind = 'r' AND a.attnum > 0"""))
    for role, callable_by in may.items():
        callable_by += [plain] * 60
    return functions, may


def documented():
    """The SQLSTATEs in the manual's table."""
    found = set()
    with open(os.path.join(HERE, "..", "..", "docs", "manual.md"), encoding="utf-8") as file:
        table = file.read().split("\n## Errors\n")[1].split("\n## ")[0]
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        found.update(state for state in re.findall(r"\b[0-9A-Z]{5}\b", cells[0]) if re.search(r"\d", state))
    return found


class Statement:
    """Plain SQL: a view is read, rows of odd tables, or of our own, are changed."""

    name = "plain SQL"

    def __init__(self, relations, tables):
        self.relations, self.tables = relations, tables

    def call(self, chance):
        """One statement; mostly refused, for who may not."""
        if chance.random() < 0.3:
            return chance.choice(REENTRANT).format(identifier=values.identifier(chance), sunk=chance.choice(SUNK))
        if chance.random() < 0.4:
            return f"SELECT {chance.choice(['*', 'count(*)'])} FROM usermgmt.{chance.choice(self.relations)} AS r LIMIT {chance.choice([1, 100])}"
        if chance.random() < 0.4:
            table, column = chance.choice(self.tables)
        else:
            table, column = f"fuzz.{chance.choice(values.TABLES[:20])[5:]}", chance.choice(["tenant_id", "owner_id", "id"])
        kind = values.value(chance, chance.choice(["uuid", "uuid", "text", "int4", "jsonb"]))
        return chance.choice([
            f"INSERT INTO {table} ({column}) VALUES ({kind}), ({kind})", f"INSERT INTO {table} SELECT * FROM {table}",
            f"INSERT INTO {table} DEFAULT VALUES", f"UPDATE {table} SET {column} = {kind}",
            f"UPDATE {table} SET {column} = {column}", f"UPDATE {table} SET {column} = DEFAULT",
            f"DELETE FROM {table}", f"TRUNCATE {table}", f"SELECT * FROM {table} FOR UPDATE",
            f"MERGE INTO {table} AS t USING (VALUES (1)) AS v ON true WHEN MATCHED THEN UPDATE SET {column} = NULL"])


class Script:
    """What one connection does: transactions by chance, from a seed."""

    def __init__(self, seed, may):
        self.chance = random.Random(seed)
        self.may = may

    def begin(self):
        """The statements that open a transaction, and who acts in it."""
        chance = self.chance
        who = chance.choice(list(ACTORS) + OFTEN)
        role = ACTORS[who]
        steps = ["BEGIN ISOLATION LEVEL " + chance.choice(["READ COMMITTED"] * 3 + ["REPEATABLE READ", "SERIALIZABLE"])
                 + chance.choice([""] * 8 + [" READ ONLY", " DEFERRABLE"])]
        if chance.random() < 0.25:
            steps += ["SAVEPOINT setting", "SET LOCAL " + chance.choice(SETTINGS)]
        if chance.random() < 0.03:
            steps.append(f"SET LOCAL statement_timeout = {chance.choice([1, 2, 5, 20])}")
        if role == "application" and who != "no session" and chance.random() < 0.95:
            token = f"(SELECT token FROM probe.actor WHERE name = '{who}')"
            steps += ["SAVEPOINT actor", chance.choice([
                f"SELECT usermgmt.use_session({token})", f"SELECT usermgmt.use_session({token})",
                f"SELECT usermgmt.use_session({token}, 'connection')",
                f"SELECT set_config('usermgmt.session_token', {token}, true)"])]
        return who, role, steps

    def calls(self, role, count):
        """So many calls of what the role may call, a few of what it may not."""
        found = []
        for _ in range(count):
            own = self.may[role] if self.chance.random() < 0.97 else self.may["postgres"]
            function = self.chance.choice(own)
            found.append((function.name, function.call(self.chance)))
        return found


class Tally:
    """What has been seen, by all threads."""

    def __init__(self, allowed):
        self.allowed = allowed
        self.lock = threading.Lock()
        self.count = self.undocumented = 0
        self.reached, self.states = set(), collections.Counter()
        self.by_function = collections.defaultdict(collections.Counter)
        self.faults = []

    def note(self, who, name, statement, outcome):
        state = outcome[:5].strip()
        with self.lock:
            self.count += 1
            self.states[state] += 1
            self.by_function[name][state] += 1
            if state == "ok":
                self.reached.add(name)
            elif state not in self.allowed and state not in CAUSED and not (
                    name == Statement.name and re.match(ORDINARY, state)):
                self.undocumented += 1
                self.fault(f"{who}: {statement}\n  {outcome}")

    def fault(self, text):
        if len(self.faults) < 200:
            self.faults.append(text)


class Session(threading.Thread):
    """One of several at once; it has a connection of each role."""

    def __init__(self, database, script, tally, keeps, until, calls):
        super().__init__(daemon=True)
        self.database, self.script, self.tally = database, script, tally
        self.keeps, self.until, self.left = keeps, until, calls
        self.connections = {}

    def connection(self, role):
        if role not in self.connections:
            made = Connection(self.database, user=role, lock_timeout=200, statement_timeout=HANG * 1000)
            if role in ("postgres", "operator"):
                made.run("SELECT usermgmt.use_tenant(probe.of('acme'))")
            made.run("CREATE TEMPORARY TABLE mine (id integer PRIMARY KEY, tenant_id uuid, owner_id uuid)"
                     if role != "auditor" else "SELECT")
            self.connections[role] = made
        return self.connections[role]

    def run(self):
        try:
            while self.left > 0 and time.monotonic() < self.until:
                began = time.monotonic()
                self.transaction()
                if time.monotonic() - began > HANG:
                    self.tally.fault("a transaction took more than a minute, see the server's log")
        except Exception as error:  # pylint: disable=broad-except
            self.tally.fault(f"a connection ended: {error!r}")
        finally:
            for connection in self.connections.values():
                connection.close()

    def transaction(self):
        chance = self.script.chance
        who, role, steps = self.script.begin()
        connection = self.connection(role)
        keeps = self.keeps and role != "postgres" and chance.random() < 0.4
        for step in steps:
            try:
                connection.run(step)
            except SqlError as error:
                if not error.state:
                    raise RuntimeError(f"{who}: {step}: {error}") from error
                connection.run("ROLLBACK TO " + ("setting" if step.startswith("SET LOCAL") else "actor"))
        if chance.random() < 0.8:
            self.in_one_statement(connection, who, role, keeps)
        else:
            self.one_by_one(connection, who, role)
        self.end(connection, who, keeps)

    def in_one_statement(self, connection, who, role, keeps):
        """Many calls, each in a subtransaction of its own."""
        chance = self.script.chance
        calls = self.script.calls(role, BATCH)
        self.left -= len(calls)
        kept = [keeps and chance.random() < 0.3 for _ in calls]
        listed = ", ".join("$$" + statement + "$$" for _, statement in calls)
        try:
            rows = connection.run(
                f"SELECT unnest(fuzz.attempt(ARRAY[{listed}], ARRAY[{', '.join(map(str, kept))}]))")
        except SqlError as error:
            self.unexpected(error, who, "; ".join(statement for _, statement in calls))
            return
        for (name, statement), (outcome,) in zip(calls, rows):
            self.tally.note(who, name, statement, outcome)

    def one_by_one(self, connection, who, role):
        """A few calls at the top, with savepoints around some."""
        chance = self.script.chance
        points = []
        for name, statement in self.script.calls(role, chance.randrange(1, 9)):
            self.left -= 1
            if chance.random() < 0.5:
                points.append(f"s{len(points)}")
                connection.run(f"SAVEPOINT {points[-1]}")
            try:
                if chance.random() < 0.1:
                    connection.run(f"DECLARE c CURSOR FOR {statement}; FETCH 1 FROM c; CLOSE c")
                else:
                    connection.run(statement)
                self.tally.note(who, name, statement, "ok")
            except SqlError as error:
                if not error.state:
                    raise RuntimeError(f"{who}: {statement}: {error}") from error
                self.tally.note(who, name, statement, f"{error.state} {error}")
                if not points:
                    return
                connection.run(f"ROLLBACK TO {points[-1]}")
            if points and chance.random() < 0.3:
                connection.run(f"ROLLBACK TO {points[-1]}" if chance.random() < 0.5 else f"RELEASE {points.pop()}")

    def unexpected(self, error, who, text):
        if not error.state:
            raise RuntimeError(f"{who}: {text}: {error}") from error
        self.tally.note(who, "transaction", text, f"{error.state} {error}")

    def end(self, connection, who, keeps):
        try:
            connection.run("COMMIT" if keeps else "ROLLBACK")
        except SqlError as error:
            self.unexpected(error, who, "COMMIT")


def psql(database, *arguments, **options):
    subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, *arguments],
                   check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def make_world(database):
    """A database with the world in it."""
    psql("postgres", "-c", f"DROP DATABASE IF EXISTS {database} (FORCE)", "-c", f"CREATE DATABASE {database} TEMPLATE template0")
    psql(database, "-c", "SET client_min_messages = error; CREATE EXTENSION usermgmt",
         "-f", os.path.join(HERE, "..", "t", "lib", "permissions.sql"), "-f", os.path.join(HERE, "world.sql"))


def findings(database):
    """What is not as it should be after all that."""
    with Connection(database) as connection:
        found = [f"check(): {row}" for row in connection.run(
            "SELECT problem, object, detail FROM usermgmt.check() WHERE severity = 'error'")]
        connection.run("SELECT usermgmt.audit_seal()")
        return found + [f"audit_verify(): {row}" for row in connection.run("SELECT * FROM usermgmt.audit_verify()")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=values.seed())
    parser.add_argument("--calls", type=int, default=int(os.environ.get("FUZZ_CALLS", 9000)))
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("FUZZ_SECONDS", 6)))
    parser.add_argument("--sessions", type=int, default=3)
    parser.add_argument("--world", type=int, default=30000, help="calls before the world is made anew, where nothing is kept; a quarter where things are")
    parser.add_argument("--verbose", action="store_true", help="which function raised what")
    options = parser.parse_args()
    print(f"# seed {options.seed}", flush=True)

    tally = Tally(documented())
    began = time.monotonic()
    until = None  # the first world takes what it takes
    worlds, functions = 0, {}
    while tally.count < options.calls and (until is None or time.monotonic() < until):
        database = f"call_fuzz_{os.getpid()}_{worlds}"
        make_world(database)
        until = until or time.monotonic() + options.seconds
        with Connection(database) as connection:
            functions, may = read_functions(connection)
        # What is kept wears a world out: sessions end, people go.
        kept = worlds % 2 == 1
        wanted = min(options.world // (4 if kept else 1), options.calls - tally.count)
        sessions = [Session(database, Script(f"{options.seed} {worlds} {n}", may), tally, kept, until, wanted // options.sessions + 1)
                    for n in range(options.sessions)]
        for session in sessions:
            session.start()
        for session in sessions:
            session.join()
        try:
            for finding in findings(database):
                tally.fault(f"world {worlds}: {finding}")
            psql("postgres", "-c", f"DROP DATABASE {database} (FORCE)")
        except (RuntimeError, subprocess.CalledProcessError) as error:
            tally.fault(f"world {worlds}: {error}")
            break
        worlds += 1
    report(tally, functions, worlds, began, options)
    return 1 if tally.faults else 0


def report(tally, functions, worlds, began, options):
    if options.verbose:
        for name, states in sorted(tally.by_function.items()):
            print(f"# {name}: " + ", ".join(f"{state} {count}" for state, count in sorted(states.items())))
    missed = sorted(set(functions) - tally.reached)
    print("1..2")
    print(f"{'not ' if tally.faults else ''}ok 1 - R21: no function crashes, answers with an undocumented SQLSTATE or leaves anything broken")
    for fault in tally.faults:
        print("# " + fault.replace("\n", "\n# "))
    enough = len(missed) * 5 < len(functions) or tally.count < 3000  # a slow machine
    print(f"{'' if enough else 'not '}ok 2 - R21: most functions did what they are for at least once")
    print(f"# R21: {tally.undocumented} undocumented errors in {tally.count} calls of {len(functions)} functions "
          f"({len(functions) - len(missed)} of them reached without an error) in {worlds} worlds, "
          f"{time.monotonic() - began:.0f} s, seed {options.seed}")
    print("# R21: " + ", ".join(f"{state} {count}" for state, count in sorted(tally.states.items())))
    if missed:
        print("# never without an error: " + ", ".join(missed))


if __name__ == "__main__":
    sys.exit(main())
