"""One transaction for the outcome of a mail and the last look at the next."""
import subprocess
import threading
import time

from harness import (Relay, case, check, equal, invite, invite_many, psql,
                     queue, revoke, serving, state, wait_for)
from smtp_server import Hold, ScriptedServer


class Locking:
    """A session that holds the row of a message until it is let go."""

    def __init__(self, message):
        self.process = subprocess.Popen(
            ["psql", "-XAtq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True)
        self.process.stdin.write(
            "BEGIN; SELECT 'locked' FROM usermgmt.outbox"
            f" WHERE message_id = '{message}' FOR UPDATE;\n")
        self.process.stdin.flush()
        equal(self.process.stdout.readline().strip(), "locked", "the lock")

    def end(self):
        self.process.communicate("COMMIT;\n", timeout=10)


def commits():
    """Transactions of this database, of sessions that are over."""
    return int(psql("SELECT xact_commit FROM pg_stat_database"
                    " WHERE datname = current_database()"))


@case("P8: lanes that come at the same time share a commit")
def commits_per_mail():
    count = 300
    server = serving(ScriptedServer())
    invite_many(count)
    before = commits()
    equal(Relay.plain(server, "--once", "--batch", "100", "--connections",
                      "8").wait(30), 0, "exit code")
    spent = commits() - before
    equal(len(server.messages), count, "mails")
    check(spent < count * 1.8, f"{spent} transactions for {count} mails")
    return f"{spent} transactions for {count} mails"


@case("R3: an outcome is told though the next mail's row is locked by somebody")
def locked_next():
    before_second = Hold()
    server = serving(ScriptedServer({"data": [None, before_second]}))
    first, second = invite()[1], invite()[1]
    relay = Relay.plain(server)
    check(before_second.reached.wait(10), "the second mail did not begin")
    lock = Locking(second)
    try:
        before_second.released.set()
        wait_for(lambda: state(first) == "sent", 5)
        time.sleep(0.3)
        equal((state(second), server.dots), ("claimed", 1), "the second")
    finally:
        lock.end()
    wait_for(lambda: state(second) == "sent")
    equal((relay.stop(), server.dots), (0, 2), "exit code and dots")


@case("R3: an outcome is told though the next mail is cancelled at its last look")
def cancelled_next():
    before_second = Hold()
    server = serving(ScriptedServer({"data": [None, before_second]}))
    first, (invitation, second) = invite()[1], invite()
    relay = Relay.plain(server)
    check(before_second.reached.wait(10), "the second mail did not begin")
    revoke(invitation)
    before_second.released.set()
    wait_for(lambda: state(first) == "sent", 5)
    equal(relay.stop(), 0, "exit code")
    equal((state(second), server.dots), ("cancelled", 1), "the second")


@case("R3: an outcome is told within moments though the next mail stalls")
def stalled_next():
    before_second = Hold()
    server = serving(ScriptedServer({"mail": [None, before_second]}))
    first, second = invite()[1], invite()[1]
    relay = Relay.plain(server)
    check(before_second.reached.wait(10), "the second mail did not begin")
    wait_for(lambda: state(first) == "sent", 5)
    equal(state(second), "claimed", "the second")
    before_second.released.set()
    wait_for(lambda: state(second) == "sent")
    equal(relay.stop(), 0, "exit code")


@case("R4: at most one mail a connection is on the wire")
def one_a_connection():
    server = serving(ScriptedServer(delay=0.01))
    invite_many(120)
    most = []
    relay = Relay.plain(server, "--connections", "3")
    ended = threading.Event()
    while not ended.is_set():
        most.append(len(queue("state = 'sending'")))
        if psql("SELECT count(*) FROM usermgmt.outbox WHERE state IN"
                " ('queued', 'claimed', 'sending')") == "0":
            ended.set()
    equal(relay.stop(), 0, "exit code")
    check(max(most) <= 3, f"{max(most)} mails were on the wire")
    equal(len(server.messages), 120, "mails")
