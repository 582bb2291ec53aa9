"""P7: claiming mail out of a long history; P8 and P12: the relay."""
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

from data import ROOT, SMALL, history
from machine import Beside
from measure import WORK, Figure, Options, Ratio, in_turn, report, skip
from peers import install

DUE = 100
CLAIM = f"SELECT count(*) FROM usermgmt.outbox_claim('bench', {DUE})"
MAILS = 2000  # a round of the relay
SLOW_MAILS = 500  # with a server that takes its time, and of nodemailer, which takes its own
CONNECTIONS = 4  # of the relay by default
NODEMAILER = ("nodemailer@7",)
WAITING = 100_000
ALONE = 100  # mails sent one by one


CANCEL = ("UPDATE usermgmt.outbox SET state = 'cancelled', finished_at = now()"
          " WHERE state IN ('queued', 'claimed')")


def claim():
    data = history(Options.rows)
    with data.operator_connection() as operator:
        operator.run(CANCEL)
        operator.run(f"SELECT usermgmt.invite_user('due' || n || '@example.com') FROM generate_series(1, {DUE}) AS n")

        def once():
            operator.run("BEGIN")
            cost = operator.cost(1, lambda _: operator.call(CLAIM))
            found = operator.call(CLAIM)
            operator.run("ROLLBACK")
            if found != [["0"]]:
                raise RuntimeError(f"outbox_claim left {found}")
            return cost / 1000
        with Beside() as speed:
            once()
            costs = [once() for _ in range(Options.rounds * 2)]
        operator.run(CANCEL)
    figure = Figure.of(costs, "ms")
    report("P7", f"claim of {DUE} due mails out of {data.rows}, rendered, with links, server time",
           figure, "≤ 10", f"`{CLAIM}`, rolled back each time, processor time{speed.note(figure)}")


class Sink:
    """A mail server that takes everything, in a process of its own."""

    def __init__(self, name, *delay):
        self.name, self.mails = name, SLOW_MAILS if delay else MAILS
        self.command = [sys.executable, f"{ROOT}/sink.py", *delay]

    def __enter__(self):
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            self.command, stdout=subprocess.PIPE, text=True)
        self.port = self.find_port()
        return self

    def find_port(self):
        return int(self.process.stdout.readline())

    @property
    def url(self):
        return f"smtp://127.0.0.1:{self.port}"

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class PostfixSink(Sink):
    """Postfix's, which is written in C and says each reply in one packet."""

    def __init__(self):
        super().__init__("postfix's smtp-sink")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.command = ["/usr/sbin/smtp-sink", f"127.0.0.1:{self.port}", "100"]

    def find_port(self):
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                time.sleep(0.05)
        return self.port


class Relay:
    """usermgmt-relay at work on a database."""

    def __init__(self, database, sink, connections=CONNECTIONS):
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            [os.environ["RELAY"], "-d", f"dbname={database} user=postgres", "--smtp", sink.url, "--tls", "none",
             "--poll-interval", "1", "--connections", str(connections)], stderr=subprocess.PIPE, text=True)
        self.log = []
        threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True).start()

    def peak(self):
        """Most bytes that it has held."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def wait_for_silence(operator, patience=60):
    """Until no mail waits or is under way; by index, for it competes with the relay."""
    until = time.monotonic() + patience
    while operator.call("(SELECT 1 FROM usermgmt.outbox WHERE state = 'queued' ORDER BY due_at LIMIT 1) UNION ALL"
                        " (SELECT 1 FROM usermgmt.outbox WHERE state IN ('claimed', 'sending') ORDER BY holder LIMIT 1)"):
        if time.monotonic() > until:
            raise RuntimeError("mails are still waiting")
        time.sleep(0.02)


def put(operator, number):
    """Queue mails of new invitations, in bulk."""
    operator.run(f"SELECT usermgmt.invite_user('r' || gen_random_uuid() || '@example.com') FROM generate_series(1, {number})")


def sending(data, operator, sink, loop, nodemailer):
    """The relay beside the loop, with one connection and with as many as it has
    by default; and beside nodemailer."""
    def ours(connections):
        put(operator, sink.mails)
        began = time.monotonic()
        relay = Relay(data.name, sink, connections)
        try:
            wait_for_silence(operator, 300)
            return sink.mails / (time.monotonic() - began)
        finally:
            relay.stop()

    def program(*command):
        done = subprocess.run([*command], capture_output=True, text=True, check=True, timeout=300)
        return float(done.stdout)
    variants = {"one": lambda: ours(1), "many": lambda: ours(CONNECTIONS),
                "bare": lambda: program(loop, sink.url, str(sink.mails))}
    if nodemailer:
        variants["node"] = lambda: program("node", nodemailer, str(sink.port), str(CONNECTIONS), str(SLOW_MAILS))
    found = in_turn(Options.rounds, variants)
    best = {name: f"{max(rates):.0f}" for name, rates in found.items()}
    report("P8", f"relay / bare libcurl, one connection each, to {sink.name}", Ratio(found["one"], found["bare"]), "≥ 0.90",
           f"usermgmt-relay --connections 1 with {sink.mails} mails queued, from its start until all is reported / curl_loop.c;"
           f" {best['one']} and {best['bare']} mails a second at best")
    report("P8", f"relay with {CONNECTIONS} connections / bare libcurl with one, to {sink.name}",
           Ratio(found["many"], found["bare"]), None,
           f"the same with the default --connections {CONNECTIONS}; {best['many']} mails a second at best")
    if nodemailer:
        report("P8", f"relay / nodemailer's pool, {CONNECTIONS} connections each, to {sink.name}",
               Ratio(found["many"], found["node"]), "≥ 2",
               f"the same / `node nodemailer.mjs {sink.port} {CONNECTIONS} {SLOW_MAILS}` ({', '.join(NODEMAILER)}), without its"
               f" start; {best['many']} and {best['node']} mails a second at best")


def idle(data, operator, sink):
    """How long a mail of its own takes, from before its commit to after its delivery is reported. Nobody
    asks about it before it must be out: that would take the processor from those who see to it."""
    relay = Relay(data.name, sink)
    try:
        times = []
        put(operator, 1)
        wait_for_silence(operator)
        for _ in range(ALONE):
            time.sleep(0.02)
            put(operator, 1)
            time.sleep(0.03)
            wait_for_silence(operator)
        rows = operator.run("SELECT EXTRACT(epoch FROM finished_at - created_at) * 1000 FROM usermgmt.outbox"
                            f" WHERE state = 'sent' ORDER BY created_at DESC LIMIT {ALONE}")
        times = sorted(float(row[0]) for row in rows)
    finally:
        relay.stop()
    report("P8", "from invite_user to delivered and reported, relay idle, 99th percentile",
           Figure(times[int(len(times) * 0.99) - 1], "ms"), "≤ 20",
           f"outbox.finished_at less created_at of {ALONE} mails, one after another; half of them within"
           f" {times[len(times) // 2]:.1f} ms")


def memory(data, operator, sink):
    operator.run(f"""
        SET session_replication_role = replica;
        INSERT INTO usermgmt.outbox (message_id, tenant_id, kind, subject_id, recipient, state, due_at, expires_at, created_at)
        SELECT bench.id(7, n), '{data.tenant}', 'invitation', i.invitation_id, i.email, 'queued', now(), i.expires_at, now()
        FROM generate_series(1, {WAITING}) AS n,
            (SELECT * FROM usermgmt.invitation WHERE state = 'pending' LIMIT 1) AS i;
        SET session_replication_role = origin;
        ANALYZE usermgmt.outbox""")
    relay = Relay(data.name, sink)
    try:
        time.sleep(5)
        peak = relay.peak()
    finally:
        relay.stop()
    sent = operator.one("SELECT count(*) FROM usermgmt.outbox WHERE state = 'sent' AND message_id >= bench.id(7, 1)"
                        f" AND message_id <= bench.id(7, {WAITING})")
    report("P12", f"relay with {WAITING} mails queued, most resident memory", Figure(peak / 2**20, "MB"), "≤ 20",
           f"VmHWM of usermgmt-relay after 5 s and {sent} mails")


def build_loop():
    """The bare loop's program; None, having said why, where it cannot be built."""
    loop = os.path.join(WORK, "curl_loop")
    compiler = shutil.which("cc") or shutil.which("gcc")
    built = subprocess.run([compiler, "-O2", "-o", loop, f"{ROOT}/curl_loop.c", "-lcurl"],
                           capture_output=True, text=True, check=False)
    if built.returncode != 0 or not os.path.exists(os.environ.get("RELAY", "")):
        skip("P8", "no relay was built" if built.returncode == 0 else f"curl_loop.c: {built.stderr}")
        return None
    return loop


def peer():
    """nodemailer's script beside its package, with --peers; else None."""
    if not Options.peers:
        skip("P8", "nodemailer is installed and measured with --peers only")
        return None
    return install(os.path.join(WORK, "nodemailer"), NODEMAILER, "nodemailer.mjs")


def relay():
    data = history(SMALL)
    loop = build_loop()
    if not loop:
        return
    nodemailer = peer()
    with data.operator_connection(synchronous_commit="on") as operator:
        operator.run(CANCEL)
        for sink in (Sink("a sink that answers after 1 ms", "0.001"), PostfixSink(), Sink("sink.py")):
            with sink:
                sending(data, operator, sink, loop, nodemailer)
        with Sink("sink.py") as sink:
            idle(data, operator, sink)
            memory(data, operator, sink)


def run():
    claim()
    relay()
