"""What the relay's metrics show, and what an operator's views do."""
import os
import re
import subprocess
import time

from harness import (Relay, WORK, case, check, equal, invite, psql, serving,
                     state, wait_for)
from smtp_server import ScriptedServer


def figures(path):
    """The metrics by name, read as strictly as Prometheus does."""
    found, helped, typed = {}, set(), set()
    with open(path, encoding="utf-8") as file:
        text = file.read()
    check(text.endswith("\n"), "the last line does not end")
    for line in text.splitlines():
        comment = re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) (\S.*)", line)
        if comment:
            (helped if comment[1] == "HELP" else typed).add(comment[2])
            continue
        sample = re.fullmatch(
            r'([a-z_]+)(\{[a-z]+="[^"\\]*"\})? ([0-9]+(?:[.e][0-9e.-]+)?)', line)
        check(sample, f"not a sample: {line}")
        check(sample[1] in helped & typed, f"no HELP or TYPE: {line}")
        check(sample[1] + (sample[2] or "") not in found, f"twice: {line}")
        found[sample[1] + (sample[2] or "")] = float(sample[3])
    return {name.removeprefix("usermgmt_relay_"): value
            for name, value in found.items()}


@case("R29: trouble is seen in the metrics within 5 s")
def metrics():
    path = os.path.join(WORK, "relay.prom")

    def seen(**wanted):
        return wait_for(lambda: os.path.exists(path) and all(
            figures(path).get(name) == value
            for name, value in wanted.items()), 6)

    server = serving(ScriptedServer({"rcpt": [b"550 no\r\n"]}))
    dead = int(psql("SELECT dead FROM usermgmt.outbox_statistics"))
    refused, fine = invite()[1], invite()[1]
    umask = os.umask(0o077)
    relay = Relay.plain(server, "--metrics", path)
    os.umask(umask)
    wait_for(lambda: state(fine) == "sent" and state(refused) == "dead")
    waits = [seen(queue_dead_messages=dead + 1, database_up=1, paused=0,
                  queue_messages=0, queue_paused=0)]
    equal(os.stat(path).st_mode & 0o777, 0o644, "mode")
    now = figures(path)
    equal((now['messages_total{outcome="sent"}'],
           now['messages_total{outcome="failed"}'],
           now['info{version="0.1.0"}']), (1, 1, 1), "counters")
    check(abs(now["last_sent_timestamp_seconds"] - time.time()) < 10, now)
    psql("SELECT usermgmt.outbox_pause('testing')")
    try:
        invite()
        waits.append(seen(queue_paused=1, queue_messages=1,
                          queue_due_messages=1))
    finally:
        psql("SELECT usermgmt.outbox_resume()")
    equal(relay.stop(), 0, "exit code")
    equal([name for name in os.listdir(WORK) if name.startswith("relay.prom.")],
          [], "temporary files")
    relay = Relay.plain(server, "--metrics", path, "-d", "host=/nonexistent")
    waits.append(seen(database_up=0))
    check("queue_messages" not in figures(path), "figures without a source")
    relay.kill()
    relay = Relay("--smtp", "smtp://127.0.0.1:9", "--tls", "none", "--metrics",
                  path)
    invite()
    wait_for(lambda: "paused for" in relay.log(), 20)
    waits.append(seen(paused=1))
    relay.kill()
    return "seen after " + ", ".join(f"{wait:.1f} s" for wait in waits)


def guessers(count):
    """So many connections that guess passwords without end, one at a time."""
    return [subprocess.Popen(
        ["psql", "-XAtq", "-c", "SET usermgmt.hash_slots = 1", "-c",
         "SET usermgmt.hash_wait = '60s'", "-c",
         "SET usermgmt.hash_passes = 6", "-c",
         "SELECT count(usermgmt.log_in('guessed-' || pg_backend_pid() || n ||"
         " '@example.org', 'wrong')) FROM generate_series(1, 100000) AS n"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PGAPPNAME": "guesser"}) for _ in range(count)]


@case("R29: the hash queue, the lag of sealing and failed log-ins, within 5 s")
def server_figures():
    server = serving(ScriptedServer({"rcpt": [b"451 4.3.0 not now\r\n"]}))
    path = os.path.join(WORK, "server.prom")
    psql("CREATE ROLE metrics_test",
         "SELECT usermgmt.grant_access('metrics_test', 'relay')")
    try:
        relay = Relay.plain(server, "--metrics", path, "-d",
                            "options='-c role=metrics_test'")
        waits = provoked(path)
        check("denied" not in relay.log(), relay.log())
        relay.kill()
    finally:
        psql("SELECT usermgmt.revoke_access('metrics_test', 'relay')",
             "DROP ROLE metrics_test")
    return ", ".join(f"{what} {wait:.1f} s" for what, wait in waits.items())


def view(columns):
    return psql(f"SELECT {columns} FROM usermgmt.server_statistics")


def seen(path, conditions):
    """When the metrics show each of these, from now on."""
    waits = {}
    started = time.monotonic()

    def look():
        now = figures(path) if os.path.exists(path) else {}
        for what, condition in conditions.items():
            if now and what not in waits and condition(now):
                waits[what] = time.monotonic() - started
        return len(waits) == len(conditions)

    try:
        wait_for(look, 5)
    except AssertionError as late:
        raise AssertionError(f"only {waits} of {list(conditions)}") from late
    return waits


def provoked(path):
    """Each figure is brought about, and gone again; when the metrics show it."""
    many = guessers(4)
    try:
        # An open transaction that has written keeps later events unsealed.
        wait_for(lambda: psql("SELECT count(backend_xid) > 0 FROM"
                              " pg_stat_activity WHERE application_name ="
                              " 'guesser'") == "t", 5)
        invite()
        equal(psql("SELECT count(usermgmt.log_in('guessed@example.org', 'wrong'))"
                   " FROM generate_series(1, 7)",
                   "SELECT throttled_addresses FROM usermgmt.server_statistics"),
              "1", "throttled addresses")
        # It would be over in a second.
        psql("UPDATE usermgmt.login_throttle SET next_try_at = next_try_at"
             " + interval '1 minute' WHERE address = 'guessed@example.org'")
        wait_for(lambda: view("hashing || ' ' || waiting_to_hash") == "1 3", 5)
        waits = seen(path, {
            "last error": lambda now: abs(
                now["queue_last_error_timestamp_seconds"] - time.time()) < 10,
            "hash queue": lambda now: now["waiting_to_hash"] >= 2,
            "unsealed": lambda now: now["unsealed_events"] >= 1,
            "their age": lambda now: now["oldest_unsealed_seconds"] >= 0.5,
            "failed log-ins": lambda now: now["failed_log_ins"] >= 6,
            "throttled": lambda now: now["throttled_addresses"] >= 1,
            "notifications": lambda now: now["notify_queue_usage_ratio"]
            == float(view("notify_queue_usage"))})
        equal(psql("SELECT last_error FROM usermgmt.outbox_statistics"),
              "451 4.3.0 not now (RCPT)", "last error")
    finally:
        for one in many:
            one.kill()
            one.wait()
        psql("SELECT count(pg_terminate_backend(pid, 5000))"
             " FROM pg_stat_activity WHERE application_name = 'guesser'")
    psql("DELETE FROM usermgmt.login_throttle")
    wait_for(lambda: psql("SELECT usermgmt.audit_seal()",
                          "SELECT count(*) FROM usermgmt.server_statistics"
                          " WHERE unsealed_events = 0") == "1", 20)
    seen(path, {
        "an end": lambda now: now["hashing"] + now["waiting_to_hash"] == 0,
        "sealed": lambda now: (now["unsealed_events"],
                               now["oldest_unsealed_seconds"]) == (0, 0),
        "forgotten": lambda now: (now["failed_log_ins"],
                                  now["throttled_addresses"]) == (0, 0)})
    return waits
