"""R14: whether the time of an answer tells that an address is known."""
import glob
import itertools
import os

from data import SMALL, history
from measure import WORK, Figure, Options, Pgbench, psql, report, script_file, welch
from pq import Connection

LIMIT = 4.5
LOG_IN = """\\set n :n + 1
SELECT outcome FROM usermgmt.log_in('{kind}' || :n || '@timing.example', 'a wrong password of some length');
"""
REQUEST = """\\set n :n + 1
SELECT usermgmt.request_password_reset('{kind}' || :n || '@timing.example');
"""


def fill(data, number):
    """People of each kind, with one hash between them."""
    with Connection(data.name, **{"usermgmt.hash_memory": 19456, "usermgmt.hash_passes": 2}) as superuser:
        superuser.run("SELECT usermgmt.use_tenant('acme')")
        link = superuser.one("SELECT usermgmt.invitation_link((usermgmt.invite_user("
                             "'first@timing.example')).invitation_id)").split("token=")[1]
        superuser.run(f"SELECT usermgmt.accept_invitation('{link}', 'nine silver bells at midnight')")
        for offset, kind in enumerate(("known", "gone", "fresh")):
            superuser.run(f"""
                SET session_replication_role = replica;
                INSERT INTO usermgmt.account (user_id, email, canonical_email, password_hash, created_at, verified_at)
                SELECT bench.id(20 + {offset}, n), '{kind}' || n || '@timing.example', '{kind}' || n || '@timing.example',
                    CASE WHEN '{kind}' <> 'fresh' THEN (SELECT password_hash FROM usermgmt.account
                        WHERE email = 'first@timing.example') END, now(), now()
                FROM generate_series(1, {number}) AS n;
                INSERT INTO usermgmt.membership (tenant_id, user_id, role, status, deactivated_at)
                SELECT '{data.tenant}', bench.id(20 + {offset}, n), 'member',
                    CASE WHEN '{kind}' = 'gone' THEN 'deactivated' ELSE 'active' END,
                    CASE WHEN '{kind}' = 'gone' THEN now() END FROM generate_series(1, {number}) AS n""")
    with Connection(data.name) as superuser:
        superuser.run("VACUUM ANALYZE usermgmt.account")


def latencies(data, template, kinds, number):
    """Microseconds of each call by kind; pgbench draws the kind of each by lot."""
    for file in glob.glob(os.path.join(WORK, "timing.*")):
        os.remove(file)
    pgbench = Pgbench(data.name, 1, "bench_app", synchronous_commit="off")
    pgbench.variables = {"n": 0}
    files = [script_file(template.format(kind=kind)) for kind in kinds]
    pgbench.run(files, "-t", str(number * len(kinds)), "-l", "--log-prefix", "timing")
    found = {kind: [] for kind in kinds}
    for file in glob.glob(os.path.join(WORK, "timing.*")):
        with open(file, encoding="ascii") as log:
            for line in log:
                _, _, latency, script, *_ = line.split()
                found[kinds[int(script)]].append(float(latency))
    return found


def compare(data, name, template, kinds, number):
    found = latencies(data, template, kinds, number)
    for one, other in itertools.combinations(kinds, 2):
        report("R14", f"{name}: Welch's t, {one} and {other} address",
               Figure(welch(found[one], found[other]), ""), f"≤ {LIMIT}",
               f"`{template.splitlines()[1]}`, {len(found[one])} and {len(found[other])} samples drawn by lot,"
               " Argon2id at its least cost")


def run():
    data = history(SMALL)
    fill(data, Options.samples * 8)
    psql(data.name, "-c", "ALTER ROLE bench_app SET usermgmt.hash_memory = 19456",
         "-c", "ALTER ROLE bench_app SET usermgmt.hash_passes = 2")
    compare(data, "log_in", LOG_IN, ("known", "absent", "gone", "fresh"), Options.samples)
    compare(data, "request_password_reset", REQUEST, ("known", "absent"), Options.samples * 4)
    psql(data.name, "-c", "ALTER ROLE bench_app RESET ALL")
