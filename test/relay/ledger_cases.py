"""One transaction for the outcome of a mail and the last look at the next."""
import subprocess
import threading
import time

from doubt_cases import holding
from harness import (Relay, case, check, equal, invite, invite_many, psql,
                     queue, revoke, serving, state, wait_for)
from smtp_server import DROP, Hold, ScriptedServer


# Seconds after which an answer of the fence does not count any more.
TOO_OLD = 0.1


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
    # The first one has the relay wait; meanwhile both others ask.
    with Locking(asking) as first, Locking(locked):
        each.let_go(asking)
        wait_for(lambda: waiting_for_locks() == 1)
        each.let_go(locked)
        each.let_go(free)
        time.sleep(0.5)
        first.end()
        wait_for(lambda: any(free in name for name in server.message_ids()))
        equal(state(locked), "claimed", "the locked one")
    wait_for(lambda: [state(message) for message in messages] == ["sent"] * 3)
    equal((relay.stop(), server.dots), (0, 3), "exit code and dots")


class Prompt:
    """A server that was prompt before, and holds a mail at DATA whose last look
    has been taken. On a slow machine not even the first mails are prompt."""

    def __init__(self, then=None):
        self.server = serving(ScriptedServer())
        self.relay = Relay.plain(self.server, "--connections", "1")
        for _ in range(20):
            self.before = invite()[1]
            wait_for(lambda: state(self.before) == "sent")
            self.hold = Hold(then)
            self.server.script["data"] = [self.hold]
            self.invitation, self.message = invite()
            check(self.hold.reached.wait(10), "the mail did not begin")
            time.sleep(0.5)
            if state(self.message) == "sending":
                return
            self.hold.then = None
            self.hold.released.set()
            wait_for(lambda: state(self.message) == "sent")
        check(False, "no last look was taken ahead")

    def ended(self):
        """The relay's exit code, and the dots that the server saw."""
        return self.relay.stop(), self.server.dots


@case("P8: a prompt server: the last look is taken while it answers DATA")
def asked_ahead():
    prompt = Prompt()
    before = prompt.server.dots
    prompt.hold.released.set()
    wait_for(lambda: state(prompt.message) == "sent")
    # It was slow this time, so the next one is looked at when it is out.
    hold = Hold()
    prompt.server.script["data"] = [hold]
    third = invite()[1]
    check(hold.reached.wait(10), "the third mail did not begin")
    time.sleep(TOO_OLD)
    equal(state(third), "claimed", "the third one")
    hold.released.set()
    wait_for(lambda: state(third) == "sent")
    equal(prompt.ended(), (0, before + 2), "exit code and dots")


@case("S0.6 R3: revoked while a prompt server hesitates at DATA: no dot follows")
def revoked_meanwhile():
    prompt = Prompt()
    before = prompt.server.dots
    revoke(prompt.invitation)
    prompt.hold.released.set()
    wait_for(lambda: state(prompt.message) == "cancelled", 5)
    equal(prompt.ended(), (0, before), "exit code and dots")
    check("outcome=cancelled" in prompt.relay.log(), prompt.relay.log())


@case("F7: a kill between last look and dot: held as well, if the kind is named")
def killed_before():
    with holding("invitation"):
        prompt = Prompt(then=DROP)
        before = prompt.server.dots
        prompt.relay.kill()
        prompt.hold.released.set()
        other = Relay.plain(prompt.server, "--poll-interval", "0.2")
        wait_for(lambda: state(prompt.message) == "dead")
        equal((other.stop(), prompt.server.dots), (0, before), "exit code, dots")


@case("F2: a mail refused at DATA is not sent, whatever the last look says")
def refused_at_data():
    words = [b"451 4.3.0 not now\r\n", b"550 5.7.1 never\r\n"]
    for word in words:
        server = serving(ScriptedServer({"data": [None, word]}))
        messages = [invite()[1] for _ in range(3)]
        relay = Relay.plain(server, "--once", "--connections", "1")
        equal(relay.wait(30), 0, "exit code")
        equal([state(message) for message in messages],
              ["sent", "queued" if word[0] == ord("4") else "dead", "sent"],
              "states")
        equal(server.dots, 2, "dots")


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
