"""The database misbehaves."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from harness import (FAKETIME, Relay, Skip, WORK, case, check, equal, invite, psql, serving,
                     state, wait_for)
from smtp_server import Hold, ScriptedServer


def restart(mode, environment=None):
    """Restarts PGDATA's cluster as the directory's owner."""
    data = os.environ.get("PGDATA")
    if not data:
        raise Skip("PGDATA is not set")
    bindir = subprocess.run(["pg_config", "--bindir"], capture_output=True,
                            text=True, check=True).stdout.strip()
    command = [os.path.join(bindir, "pg_ctl"), "-D", data, "-m", mode, "-w",
               "-l", os.path.join(data, "relay-test.log"), "restart"]
    command = ["env", *(f"{name}={value}"
                        for name, value in (environment or {}).items()),
               *command]
    owner = os.stat(data)
    if os.getuid() != owner.st_uid:
        command = ["setpriv", f"--reuid={owner.st_uid}",
                   f"--regid={owner.st_gid}", "--clear-groups", *command]
    subprocess.run(command, check=True, timeout=60, cwd="/",
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@case("F10 R25: after a database restart the relay goes on by itself")
def database_restart():
    server = serving(ScriptedServer())
    relay = Relay.plain(server)
    relay.backend()
    waits = []
    for mode in ("fast", "immediate"):
        restart(mode)
        message = invite()[1]
        waits.append(wait_for(lambda: state(message) == "sent", 10))
    equal(len(server.messages), 2, "mails")
    return "resumed after " + ", ".join(f"{wait:.1f} s" for wait in waits)


@case("F11: the database crashes during DATA: no dot without a record")
def stopped_in_data():
    if not os.environ.get("PGDATA"):
        raise Skip("PGDATA is not set")
    hold = Hold()
    server = serving(ScriptedServer({"data": [hold]}))
    message = invite()[1]
    relay = Relay.plain(server)
    check(hold.reached.wait(10), "no DATA")
    restart("immediate")
    hold.released.set()
    wait_for(lambda: "outcome=abandoned" in relay.log())
    wait_for(lambda: state(message) == "sent", 15)
    equal((server.dots, len(server.messages)), (1, 1), "dots and mails")


@case("F12: its session terminated during DATA: no dot, then sent once")
def terminated_in_data():
    hold = Hold()
    server = serving(ScriptedServer({"data": [hold]}))
    message = invite()[1]
    relay = Relay.plain(server)
    check(hold.reached.wait(10), "no DATA")
    psql(f"SELECT pg_terminate_backend({relay.backend()}, 5000)")
    hold.released.set()
    wait_for(lambda: state(message) == "sent", 10)
    equal((server.dots, len(server.messages)), (1, 1), "dots and mails")


@case("F12: its session terminated after the dot: the outcome is kept")
def terminated_after_dot():
    hold = Hold()
    server = serving(ScriptedServer({"dot": [hold]}))
    message = invite()[1]
    relay = Relay.plain(server)
    check(hold.reached.wait(10), "no dot")
    psql(f"SELECT pg_terminate_backend({relay.backend()}, 5000)")
    hold.released.set()
    wait_for(lambda: state(message) == "sent", 10)
    wait_for(lambda: "kept outcome reported" in relay.log())
    return f"{len(server.messages)} mail"


@case("F12: an idle relay's session terminated: it comes back and listens")
def terminated_idle():
    server = serving(ScriptedServer())
    relay = Relay.plain(server, "--poll-interval", "60")
    psql(f"SELECT pg_terminate_backend({relay.backend()}, 5000)")
    wait_for(lambda: relay.log().count("connected to database") == 2)
    relay.backend()
    time.sleep(0.5)
    message = invite()[1]
    took = wait_for(lambda: state(message) == "sent", 5)
    return f"woken {took:.2f} s after the commit"


class Proxy:
    """Between the relay and its database; a frozen session hangs half-open."""

    def __init__(self, cut_at=None):
        self.cut_at = cut_at    # a session ends when this word comes along
        self.frozen = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)
        path = os.path.join(WORK, ".s.PGSQL.5432")
        if os.path.exists(path):
            os.unlink(path)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(os.path.join(
                os.environ["PGHOST"],
                ".s.PGSQL." + os.environ.get("PGPORT", "5432")))
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=(ends, self.frozen),
                                 daemon=True).start()

    def pump(self, ends, frozen):
        try:
            while data := ends[0].recv(65536):
                if frozen.is_set():
                    return
                # A Bind, and not the Parse when the session begins.
                if self.cut_at and data[:1] == b"B" and self.cut_at in data:
                    ends[0].shutdown(socket.SHUT_RDWR)
                    ends[1].shutdown(socket.SHUT_RDWR)
                    return
                ends[1].sendall(data)
            ends[1].shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def freeze(self):
        """Sessions that are open hang from now on; new ones do not."""
        self.frozen.set()
        self.frozen = threading.Event()

    def close(self):
        self.listener.close()


@case("F13: a half-open database session is given up within 30 s")
def half_open():
    proxy = serving(Proxy())
    server = serving(ScriptedServer())
    relay = Relay.plain(server, "-d", f"host={WORK} port=5432",
                        "--poll-interval", "1")
    backend = relay.backend()
    proxy.freeze()
    message = invite()[1]
    took = wait_for(lambda: state(message) == "sent", 30)
    check(len(server.messages) == 1, "mails")
    psql(f"SELECT pg_terminate_backend({backend})")
    return f"mail sent {took:.1f} s later over a new session"


@case("F12 R25: a database that answers claims and nothing else is not hammered")
def flapping():
    proxy = serving(Proxy(cut_at=b"outbox_sending"))
    server = serving(ScriptedServer())
    message = invite()[1]
    relay = Relay.plain(server, "-d", f"host={WORK} port=5432")
    time.sleep(4)
    sessions = relay.log().count("connected to database")
    check(3 <= sessions <= 8, f"{sessions} sessions")
    equal((server.dots, relay.log().count("outcome=sent")), (0, 0), "dots")
    proxy.cut_at = None
    wait_for(lambda: state(message) == "sent", 15)
    return f"{sessions} sessions in 4 s"


@case("R4: a relay paused by SIGSTOP sends nothing twice when it goes on")
def stopped_relay():
    hold = Hold()
    server = serving(ScriptedServer({"data": [hold]}))
    message = invite()[1]
    first = Relay.plain(server)
    check(hold.reached.wait(10), "no DATA")
    backend = first.backend()
    first.signal(signal.SIGSTOP)
    psql(f"SELECT pg_terminate_backend({backend}, 5000)")
    Relay.plain(server)
    wait_for(lambda: state(message) == "sent", 10)
    first.signal(signal.SIGCONT)
    hold.released.set()
    wait_for(lambda: "outcome=abandoned" in first.log())
    equal((server.dots, len(server.messages)), (1, 1), "dots and mails")
    return "0 duplicates"


@case("F17: a clock that jumps by a day at the database sends nothing twice")
def database_clock():
    if not os.environ.get("PGDATA") or not os.path.exists(FAKETIME):
        raise Skip("PGDATA is not set, or there is no libfaketime")
    directory = tempfile.mkdtemp()
    clock = os.path.join(directory, "clock")

    def jump(offset):
        with open(clock, "w", encoding="utf-8") as file:
            file.write(offset + "\n")

    jump("+0")
    os.chmod(directory, 0o755)
    restart("fast", {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": clock,
                     "FAKETIME_NO_CACHE": "1",
                     "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    try:
        for offset in ("+1d", "-1d"):
            hold = Hold()
            server = serving(ScriptedServer({"data": [hold]}))
            message = invite()[1]
            first = Relay.plain(server)
            check(hold.reached.wait(10), "no DATA")
            jump(offset)
            seen = psql("SELECT abs(extract(epoch FROM clock_timestamp())"
                        f" - {time.time()}) > 80000")
            equal(seen, "t", "the server's clock has jumped")
            second = Relay.plain(server, "--poll-interval", "0.2")
            time.sleep(1)
            equal(state(message), "claimed", "state")
            hold.released.set()
            wait_for(lambda m=message: state(m) == "sent")
            equal((server.dots, len(server.messages)), (1, 1), "mails")
            first.kill()
            second.kill()
            jump("+0")
    finally:
        restart("fast")
        shutil.rmtree(directory)


@case("F10: without a database the relay waits, and --once exits with 111")
def no_database():
    server = serving(ScriptedServer())
    nowhere = ("-d", "host=/nonexistent")
    equal(Relay.plain(server, "--once", *nowhere).wait(), 111, "exit code")
    relay = Relay.plain(server, *nowhere)
    wait_for(lambda: relay.log().count("cannot connect") >= 3)
    equal(relay.stop(), 0, "exit code")
