"""Mails in doubt of a kind that is held, not sent again (usermgmt.hold_in_doubt)."""
import contextlib
import os

from harness import (Relay, case, check, equal, invite, psql, queue, retry,
                     serving, state, wait_for)
from smtp_server import DROP, Hold, STALL, ScriptedServer


@contextlib.contextmanager
def holding(kinds):
    """Sessions of this database that begin meanwhile hold these kinds."""
    database = os.environ["PGDATABASE"]
    psql('ALTER DATABASE :"name" SET usermgmt.hold_in_doubt = :\'kinds\'',
         name=database, kinds=kinds)
    try:
        yield
    finally:
        psql('ALTER DATABASE :"name" RESET usermgmt.hold_in_doubt',
             name=database)


def equal_held(message, server):
    """It is dead, says why, and goes out once more only by outbox_retry."""
    row = queue(f"message_id = '{message}'")[0]
    equal((row["state"], row["delivery"], row["attempts"]),
          ("dead", "failed", 1), "the mail held")
    check(row["reply"].startswith("in doubt: ")
          and row["reply"].endswith("; held, see usermgmt.hold_in_doubt"),
          row["reply"])
    dots = server.dots
    equal(Relay.plain(server, "--once").wait(), 0, "exit code")
    equal((state(message), server.dots), ("dead", dots), "left alone")
    retry(message)
    equal(Relay.plain(server, "--once").wait(), 0, "exit code")
    equal((state(message), server.dots), ("sent", dots + 1), "sent again")
    check(message in server.message_ids()[-1], "another Message-ID")


@case("F7: a drop or stall after the dot: held, if the kind is named")
def dropped():
    for action in (DROP, STALL):
        server = serving(ScriptedServer({"dot": [action]}))
        with holding("password_reset, invitation"):
            message = invite()[1]
            equal(Relay.plain(server, "--once", "--stall-timeout", "1",
                              "--timeout", "2").wait(), 0, "exit code")
            equal_held(message, server)


@case("F7: a kill after the dot: held by the next relay, if the kind is named")
def killed():
    hold = Hold()
    server = serving(ScriptedServer({"dot": [hold]}))
    with holding("invitation"):
        message = invite()[1]
        relay = Relay.plain(server)
        check(hold.reached.wait(10), "no dot came")
        equal(state(message), "sending", "state at the dot")
        relay.kill()
        hold.released.set()
        other = Relay.plain(server, "--poll-interval", "0.2")
        wait_for(lambda: state(message) == "dead")
        equal(other.stop(), 0, "exit code")
        equal(server.dots, 1, "dots")
        equal_held(message, server)


@case("F7: what is in no doubt is tried again though its kind is named")
def certain():
    server = serving(ScriptedServer({"dot": [b"451 4.3.0 later\r\n"]}))
    dropped_before = serving(ScriptedServer({"data": [DROP]}))
    with holding("invitation"):
        for at in (server, dropped_before):
            message = invite()[1]
            equal(Relay.plain(at, "--once").wait(), 0, "exit code")
            equal(state(message), "queued", "state")
            retry(message)
            equal(Relay.plain(at, "--once").wait(), 0, "exit code")
            equal((state(message), len(at.messages)), ("sent", 1), "after")


@case("F7: kinds that are not named are sent again")
def others():
    server = serving(ScriptedServer({"dot": [DROP]}))
    with holding("password_reset"):
        message = invite()[1]
        equal(Relay.plain(server, "--once").wait(), 0, "exit code")
        equal(state(message), "queued", "state")
        retry(message)
        equal(Relay.plain(server, "--once").wait(), 0, "exit code")
        equal((state(message), server.dots), ("sent", 2), "after")
