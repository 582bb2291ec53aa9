"""One transaction for the outcome of a mail and the last look at the next."""
import subprocess
import threading
import time

from harness import (TOO_OLD, Relay, case, check, equal, invite, invite_many,
                     psql, queue, revoke, serving, state, wait_for)
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
        if self.process.poll() is None:
            self.process.communicate("COMMIT;\n", timeout=10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def waiting_for_locks():
    """Relays that wait for a row."""
    return int(psql("SELECT count(*) FROM pg_stat_activity"
                    " WHERE application_name = 'usermgmt-relay'"
                    " AND datname = current_database()"
                    " AND wait_event_type = 'Lock'"))


class HoldEach:
    """A server that holds each mail at DATA until it is let go by its id."""

    def __init__(self, messages):
        self.holds = {row["recipient"]: Hold() for row in queue()
                      if row["message_id"] in messages}
        self.by_id = {row["message_id"]: self.holds[row["recipient"]]
                      for row in queue() if row["message_id"] in messages}
        self.server = serving(ScriptedServer({"rcpt": self.at_recipient,
                                              "data": self.at_data}))

    @staticmethod
    def at_recipient(session):
        session.recipient = session.line.decode().split("<")[1].split(">")[0]

    def at_data(self, session):
        hold = self.holds[session.recipient]
        hold.reached.set()
        hold.released.wait(60)

    def reached(self):
        return all(hold.reached.wait(10) for hold in self.holds.values())

    def let_go(self, message):
        self.by_id[message].released.set()


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


@case("R5: mails asked for together are not held up by a row that is locked")
def locked_row():
    messages = [invite()[1] for _ in range(3)]
    asking, locked, free = messages
    each = HoldEach(messages)
    server = each.server
    relay = Relay.plain(server, "--connections", "3")
    check(each.reached(), "a mail did not begin")
    # What was asked at DATA is too old by now. The first one has the relay
    # wait; meanwhile both others ask again.
    time.sleep(TOO_OLD)
    with Locking(asking) as first, Locking(locked):
        each.let_go(asking)
        wait_for(lambda: waiting_for_locks() == 1)
        each.let_go(locked)
        each.let_go(free)
        time.sleep(0.5)
        first.end()
        wait_for(lambda: any(free in name for name in server.message_ids()))
        equal((state(locked), locked in "".join(server.message_ids())),
              ("sending", False), "the locked one")
    wait_for(lambda: [state(message) for message in messages] == ["sent"] * 3)
    equal((relay.stop(), server.dots), (0, 3), "exit code and dots")


@case("P8: the last look is taken while the server answers DATA")
def asked_ahead():
    at_data = Hold()
    server = serving(ScriptedServer({"data": [at_data]}))
    message = invite()[1]
    relay = Relay.plain(server)
    check(at_data.reached.wait(10), "the mail did not begin")
    wait_for(lambda: state(message) == "sending", 5)
    equal(server.dots, 0, "dots")
    at_data.released.set()
    wait_for(lambda: state(message) == "sent")
    equal((relay.stop(), server.dots), (0, 1), "exit code and dots")


@case("S0.6 R3: revoked while the server is slow to answer DATA: no dot follows")
def revoked_meanwhile():
    at_data = Hold()
    server = serving(ScriptedServer({"data": [at_data]}))
    invitation, message = invite()
    relay = Relay.plain(server)
    check(at_data.reached.wait(10), "the mail did not begin")
    wait_for(lambda: state(message) == "sending", 5)
    revoke(invitation)
    time.sleep(TOO_OLD)
    at_data.released.set()
    wait_for(lambda: state(message) == "cancelled", 5)
    equal((relay.stop(), server.dots), (0, 0), "exit code and dots")
    check("outcome=cancelled" in relay.log(), relay.log())


@case("F2: a mail refused at DATA is not sent, whatever the last look says")
def refused_at_data():
    words = [b"451 4.3.0 not now\r\n", b"550 5.7.1 never\r\n"]
    for word in words:
        server = serving(ScriptedServer({"data": [word]}))
        first = invite()[1]
        second = invite()[1]
        equal(Relay.plain(server, "--once").wait(30), 0, "exit code")
        equal((state(first), state(second)),
              ("queued" if word[0] == ord("4") else "dead", "sent"), "states")
        equal(server.dots, 1, "dots")


@case("R3: an outcome is told though the next mail is cancelled at its last look")
def cancelled_next():
    before_second = Hold()
    server = serving(ScriptedServer({"data": [None, before_second]}))
    first, (invitation, second) = invite()[1], invite()
    relay = Relay.plain(server)
    check(before_second.reached.wait(10), "the second mail did not begin")
    revoke(invitation)
    time.sleep(TOO_OLD)
    before_second.released.set()
    wait_for(lambda: state(first) == "sent", 5)
    wait_for(lambda: state(second) == "cancelled", 5)
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
