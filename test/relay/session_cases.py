"""The relay's session at the database ends, hangs, or never begins."""
import signal
import time

from harness import (Relay, WORK, case, check, equal, invite, psql, serving,
                     state, wait_for)
from proxy import Proxy
from smtp_server import Hold, ScriptedServer


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
    wait_for(lambda: relay.log().count("connected to database") == 1)
    time.sleep(0.5)
    psql(f"SELECT pg_terminate_backend({relay.backend()}, 5000)")
    wait_for(lambda: relay.log().count("connected to database") == 2)
    relay.backend()
    time.sleep(0.5)
    message = invite()[1]
    took = wait_for(lambda: state(message) == "sent", 5)
    return f"woken {took:.2f} s after the commit"


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


@case("F10: without a database the relay waits, and --once exits with 111")
def no_database():
    server = serving(ScriptedServer())
    nowhere = ("-d", "host=/nonexistent")
    equal(Relay.plain(server, "--once", *nowhere).wait(), 111, "exit code")
    relay = Relay.plain(server, *nowhere)
    wait_for(lambda: relay.log().count("cannot connect") >= 3)
    equal(relay.stop(), 0, "exit code")
