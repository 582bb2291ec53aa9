"""The promises in numbers: small in every test run, in full by ./run soak."""
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time

from database_cases import restart
from harness import (Relay, Skip, TENANT, WORK, case, check, equal, invite_many,
                     psql, queue, serving, unfinished, wait_for)
from security_cases import ALLOWED, SAFE
from smtp_server import ScriptedServer

FULL = bool(os.environ.get("RELAY_SOAK"))
HERE = os.path.dirname(os.path.abspath(__file__))


def size(small, full):
    return full if FULL else small


def in_sending():
    return len(queue("state = 'sending'"))


def drained():
    return psql("SELECT count(*) FROM usermgmt.outbox WHERE state IN"
                " ('queued', 'claimed', 'sending')") == "0"


@case("R2 R3 F1 F10: mails under kill -9 of relays and crashes of the database")
def storm():
    if not os.environ.get("PGDATA"):
        raise Skip("PGDATA is not set")
    count, kills, crashes = size((600, 8, 2), (10000, 50, 10))
    chance = random.Random(2)
    server = serving(ScriptedServer(delay=0.02))
    invite_many(count)
    events = ["kill"] * kills + ["crash"] * crashes
    chance.shuffle(events)
    explained, idle = 0, 0
    relay = Relay.plain(server, "--connections", "4", "--poll-interval", "0.2")
    for event in events:
        time.sleep(chance.uniform(0.05, size(0.4, 1.2)))
        idle += drained()
        if event == "kill":
            relay.kill()
            explained += in_sending()
            relay = Relay.plain(server, "--connections", "4",
                                "--poll-interval", "0.2")
            continue
        # Stopped meanwhile, so that what is in doubt can be counted.
        relay.signal(signal.SIGSTOP)
        restart("immediate")
        explained += in_sending()
        relay.signal(signal.SIGCONT)
    wait_for(drained, size(60, 900))
    relay.stop()
    ids = server.message_ids()
    lost = count - len(set(ids))
    duplicates = len(ids) - len(set(ids))
    states = psql("SELECT string_agg(DISTINCT state, ' ') FROM usermgmt.outbox"
                  " WHERE recipient LIKE 'm%@example.org'")
    equal((lost, unfinished()), (0, []), "lost and unfinished")
    check(duplicates <= explained, f"{duplicates} duplicates of {explained}")
    check(idle <= len(events) // 3, f"the queue was empty {idle} times")
    return (f"0 lost of {count}, {kills} kills, {crashes} crashes,"
            f" {duplicates} duplicates, {explained} rows in sending,"
            f" states: {states}")


@case("R4: four relays that are stopped and go on at random send nothing twice")
def stopped_relays():
    count = size(300, 10000)
    chance = random.Random(4)
    server = serving(ScriptedServer(delay=0.002))
    invite_many(count)
    relays = [Relay.plain(server, "--connections", "2", "--batch", "10")
              for _ in range(4)]
    pauses = 0
    deadline = time.monotonic() + size(30, 600)
    while not drained() and time.monotonic() < deadline:
        victim = chance.choice(relays)
        victim.signal(signal.SIGSTOP)
        time.sleep(chance.uniform(0.01, 0.15))
        victim.signal(signal.SIGCONT)
        pauses += 1
    for relay in relays:
        equal(relay.stop(30), 0, "exit code")
    ids = server.message_ids()
    equal((len(ids), len(set(ids))), (count, count), "mails and Message-IDs")
    return f"0 duplicates of {count}, {pauses} pauses"


def poison(queued):
    """One address that the server never takes and one row that is too big,
    both older than all that is queued; gives their messages."""
    stubborn, oversize = queued[:2]
    psql("UPDATE usermgmt.outbox SET recipient = 'poison@example.org'"
         f" WHERE message_id = '{stubborn}'",
         "UPDATE usermgmt.outbox SET recipient = repeat('x', 5000) ||"
         f" '@example.org' WHERE message_id = '{oversize}'")
    return stubborn, oversize


def thousand(poisoned):
    """Seconds from the first to the last of 999 mails, perhaps with poison."""
    def refuse(session):
        return b"451 4.3.0 not now\r\n" if b"poison" in session.line else None

    server = serving(ScriptedServer({"rcpt": refuse},
                                    delay=size(0.005, 0.02)))
    invite_many(1001 if poisoned else 999)
    queued = [row["message_id"] for row in sorted(
        unfinished(), key=lambda row: (row["due_at"], row["message_id"]))]
    bad = poison(queued) if poisoned else ()
    relay = Relay.plain(server, "--connections", "4", "--poll-interval", "1",
                        "-d", "options='-c usermgmt.mail_retry_after=1'")
    wait_for(lambda: server.messages, 10)
    started = time.monotonic()
    wait_for(lambda: len(server.messages) == 999, 60)
    took = time.monotonic() - started
    states = {}
    if poisoned:
        wait_for(lambda: queue(f"message_id = '{bad[0]}'")[0]["attempts"] >= 2)
        states = {message: queue(f"message_id = '{message}'")[0]["state"]
                  for message in bad}
    relay.kill()
    ids = [name[1:37] for name in server.message_ids()]
    equal((len(ids), set(ids)), (999, set(queued) - set(bad)), "mails")
    if poisoned:
        check(states[bad[0]] not in ("sent", "dead", "cancelled"),
              "the poison is not tried any more")
        equal(states[bad[1]], "dead", "the oversize one")
    empty()
    return took


@case("R5: two poisonous mails among 1,000: the others are sent as if alone")
def poisoned_queue():
    if not FULL:
        thousand(True)
        return "999 sent, 1 dead, 1 tried again and again"
    pairs = [(thousand(True), thousand(False)) for _ in range(7)]
    ratios = sorted(bad / good for bad, good in pairs)
    check(ratios[3] <= 1.1, f"{ratios[3]:.2f} of the time without poison")
    return f"{ratios[3]:.2f} of the time without poison, median of 7 pairs"


# By hand, past the checks of the functions that queue mail.
HOSTILE_ROWS = """
UPDATE usermgmt.outbox AS o SET recipient = item->>'email',
	recipient_name = item->>'name'
FROM (SELECT message_id, row_number() OVER () AS n FROM usermgmt.outbox
		WHERE state = 'queued') AS q
JOIN jsonb_array_elements($json${}$json$::jsonb)
	WITH ORDINALITY AS i (item, n) USING (n)
WHERE o.message_id = q.message_id
"""


@case("R23: hostile addresses, names, subjects and texts through the real relay")
def hostile():
    count = size(300, 10000)
    chance = random.Random(23)
    pool = SAFE + ["\r\nBcc: x@evil.example\r\n", "\n", "\r\n.\r\nMAIL FROM:<x>",
                   "\x01", "\u0085", "\u202e", "$json", "{{link}}", "%s"]
    local = ["a", "b+c", "o'neil", "x\r\nRCPT TO:<y@z>", "<a>", '"q q"', "é", "."]
    domain = ["example.org", "bücher.example", "[127.0.0.1]", "x y", "a>b.c",
              "-", "EXAMPLE.org", "xn--bcher-kva.example"]

    def words(most):
        return "".join(chance.choice(pool) for _ in range(chance.randrange(most)))

    items = [{"name": words(6),
              "email": f"{chance.choice(local)}{number}@{chance.choice(domain)}"}
             for number in range(count)]
    server = serving(ScriptedServer())
    name = psql(f"SELECT name FROM usermgmt.tenant WHERE slug = '{TENANT}'")
    invite_many(count)
    psql(HOSTILE_ROWS.replace("{}", json.dumps(items).replace("$json$", "")))
    psql("UPDATE usermgmt.tenant SET name = :'name' WHERE slug = :'slug'",
         slug=TENANT, name='Bcc: x@y, "=?UTF-8?Q?z?=" <a@b.c>; {{link}} é%s')
    queued = len(unfinished())
    try:
        code = Relay.plain(server, "--once", "--connections", "4").wait(
            size(30, 900))
    finally:
        psql("UPDATE usermgmt.tenant SET name = :'name' WHERE slug = :'slug'",
             slug=TENANT, name=name)
    equal(code, 0, "exit code")
    equal(queued, count, "queued")
    check(count // 10 < len(server.messages) < count, "sent or refused all")
    verbs = server.verbs()
    equal(set(verbs), {"EHLO", "MAIL", "RCPT", "DATA", "QUIT"}, "commands")
    equal((verbs.count("RCPT"), verbs.count("DATA")),
          (len(server.messages), len(server.messages)), "recipients and bodies")
    longest = 0
    for wire in server.messages:
        head = wire.split(b"\r\n\r\n")[0]
        names = re.findall(rb"(?m)^([A-Za-z-]+):", head)
        check(set(name.decode() for name in names) <= ALLOWED
              and len(names) == len(set(names)), names)
        check(b"\r" not in wire.replace(b"\r\n", b"")
              and b"\n" not in wire.replace(b"\r\n", b""), "a bare CR or LF")
        longest = max(longest, *map(len, wire.split(b"\r\n")))
    check(longest <= 998, f"a line of {longest} octets")
    return (f"0 unexpected commands, 0 extra headers in {len(server.messages)}"
            f" mails of {count}, the others refused, longest line {longest}")


def fill(count):
    """So many mails, all about one open invitation."""
    invite_many(1)
    psql("INSERT INTO usermgmt.outbox (message_id, tenant_id, kind, subject_id,"
         " recipient, due_at, expires_at, created_at) SELECT gen_random_uuid(),"
         " tenant_id, kind, subject_id, n || '-' || recipient, due_at,"
         " expires_at, created_at"
         " FROM (SELECT * FROM usermgmt.outbox WHERE state = 'queued' LIMIT 1)"
         f" AS o, generate_series(1, {count}) AS n")


def empty():
    psql("DELETE FROM usermgmt.outbox WHERE state IN ('queued', 'claimed',"
         " 'sending')")


@case("P12: a relay with a long queue stays under 20 MB")
def memory():
    count = size(5000, 100000)
    server = serving(ScriptedServer())
    fill(count)
    try:
        relay = Relay.plain(server, "--connections", "4", "--metrics",
                            os.path.join(WORK, "memory.prom"))
        wait_for(lambda: len(server.messages) > size(300, 5000), 120)
        with open(f"/proc/{relay.process.pid}/status", encoding="ascii") as file:
            most = int(re.search(r"VmHWM:\s+(\d+)", file.read())[1])
        relay.stop()
    finally:
        empty()
    check(most < 20 * 1024, f"{most} kB")
    return f"at most {most / 1024:.1f} MB with {count} queued"


def bare_loop(port, count):
    """Mails per second of a loop that does nothing but libcurl."""
    program = os.path.join(WORK, "bare_loop")
    if not os.path.exists(program):
        subprocess.run(["cc", "-O2", "-o", program,
                        os.path.join(HERE, "bare_loop.c"), "-lcurl"], check=True)
    done = subprocess.run([program, f"smtp://127.0.0.1:{port}/relay.test",
                           str(count)], check=True, capture_output=True)
    return float(done.stdout)


def relay_rate(port, count, *arguments):
    """Mails per second of the relay."""
    fill(count)
    started = time.monotonic()
    relay = Relay("--smtp", f"smtp://127.0.0.1:{port}/relay.test", "--tls",
                  "none", "--once", "--batch", "100", *arguments)
    equal(relay.wait(200), 0, "exit code")
    return count / (time.monotonic() - started)


def waits_of(count, gap, *before):
    """Seconds from each commit, a gap apart, to the server's final dot."""
    arrived = []
    server = serving(ScriptedServer(
        {"dot": lambda _: arrived.append(time.monotonic())}))
    relay = Relay.plain(server, "--poll-interval", "5")
    relay.backend()
    writer = subprocess.Popen(["psql", "-XAtq"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)

    def ask(statement):
        writer.stdin.write(statement + ";\n\\echo done\n")
        writer.stdin.flush()
        while writer.stdout.readline() != "done\n":
            pass
        return time.monotonic()

    waits = []
    for statement in ("SELECT usermgmt.use_tenant('relay-test')", *before):
        ask(statement)
    for number in range(count):
        time.sleep(gap)
        committed = ask("SELECT FROM usermgmt.invite_user('r30-' ||"
                        f" extract(epoch FROM now()) || '-{number}@a.example')")
        wait_for(lambda n=number: len(arrived) > n)
        waits.append(arrived[number] - committed)
    writer.communicate()
    relay.kill()
    return sorted(waits)


@case("R30: at 10 mails a second each is handed over within 250 ms of its commit")
def prompt():
    waits = waits_of(size(20, 500), 0.1)
    if not FULL:
        return f"median {waits[10] * 1000:.0f} ms"
    p99 = waits[len(waits) * 99 // 100]
    check(p99 <= 0.25, f"p99 {p99 * 1000:.0f} ms")
    polled = waits_of(12, 0.1, "SET usermgmt.notify = off")
    check(polled[-1] <= 5.5, f"{polled[-1]:.1f} s without NOTIFY")
    return (f"median {waits[len(waits) // 2] * 1000:.0f} ms, p99"
            f" {p99 * 1000:.0f} ms of {len(waits)}; without NOTIFY at most"
            f" {polled[-1]:.1f} s")


@case("P8: the relay beside a bare loop of libcurl")
def throughput():
    if not FULL:
        raise Skip("measured by ./run soak")
    figures = []
    try:
        server = serving(ScriptedServer(delay=0.02))
        bare = bare_loop(server.port, 300)
        for connections in ("1", "4"):
            rate = relay_rate(server.port, 300, "--connections", connections)
            figures.append(f"20 ms a mail, {connections} connections:"
                           f" {rate / bare:.2f} of {bare:.0f}/s")
        sink = shutil.which("smtp-sink", path="/usr/sbin:/usr/bin")
        if sink and os.getuid() != 0:
            figures += against_sink(sink)
    finally:
        empty()
    return ", ".join(figures)


def against_sink(sink):
    """The same to Postfix's sink, which answers at once."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen([sink, f"127.0.0.1:{port}", "100"])
    try:
        time.sleep(0.5)
        bare = bare_loop(port, 3000)
        for connections in ("1", "4"):
            rate = relay_rate(port, 3000, "--connections", connections)
            yield (f"0 ms a mail, {connections} connections:"
                   f" {rate / bare:.2f} of {bare:.0f}/s")
    finally:
        process.terminate()
        process.wait()
