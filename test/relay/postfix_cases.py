"""A real Postfix takes the mail, returns it, and is restarted meanwhile."""
import collections
import re

from delivery_cases import parse
from harness import (Relay, TENANT, case, check, equal, invite, invite_many,
                     psql, queue, serving, unfinished, wait_for)
from postfix_server import Postfix
from smtp_server import ScriptedServer
from template_cases import previews, queue_preview


def message_of(mail):
    return re.fullmatch(r"<([0-9a-f-]{36})@\S+>", mail["Message-ID"])[1]


def check_arrived(mail, row):
    """What the recipient's mail program reads is what was queued."""
    equal(mail["To"].addresses[0].addr_spec, row["recipient"], "To")
    equal(mail["Auto-Submitted"], "auto-generated", "Auto-Submitted")
    equal(mail["Return-Path"],
          f"<bounce+{row['message_id']}@mail.relay.test>", "Return-Path")
    equal(mail["X-Original-To"], row["recipient"], "X-Original-To")
    for header in ("From", "To", "Subject", "Date", "Message-ID",
                   "MIME-Version", "Content-Type", "Received"):
        equal(len(mail.get_all(header)), 1, f"count of {header}")
    check(" with ESMTPS " in " ".join(mail["Received"].split()) + " ",
          f"not over TLS: {mail['Received']}")
    equal([part.get_content_type() for part in mail.walk()],
          ["multipart/alternative", "text/plain", "text/html"], "parts")


@case("R2 R3 R24: a real Postfix delivers every kind of mail by STARTTLS, once")
def delivered():
    server = serving(Postfix())
    wanted = {}
    try:
        for number, mail in enumerate(previews(), 60):
            wanted[queue_preview(number, mail)] = mail
        invite_many(280)
        rows = {row["message_id"]: row for row in unfinished()}
        relay = Relay(*server.options, "--once", "--bounce-address",
                      "bounce@mail.relay.test")
        equal(relay.wait(60), 0, "exit code")
    finally:
        psql("DELETE FROM usermgmt.email_template WHERE NOT built_in")
    wait_for(lambda: server.waiting() == 0, 20)
    mails = [parse(wire) for wire in server.arrived()]
    counts = collections.Counter(message_of(mail) for mail in mails)
    equal((set(rows) ^ set(counts), max(counts.values())), (set(), 1),
          "lost or strange, and copies of one")
    equal(unfinished(), [], "unfinished")
    for mail in mails:
        row = rows[message_of(mail)]
        check_arrived(mail, row)
        if expected := wanted.get(row["recipient"]):
            for kind, name in (("plain", "text"), ("html", "html")):
                equal(mail.get_body((kind,)).get_content().rstrip("\n"),
                      expected[name].rstrip("\n"), name)
    return (f"0 lost, 0 duplicates of {len(rows)},"
            f" {len({mail['kind'] for mail in wanted.values()})} kinds")


@case("S2.17 B18: a real Postfix's bounce comes back by its pipe and is recorded")
def bounced():
    elsewhere = serving(ScriptedServer({
        "rcpt": b"550 5.1.1 <gone>: no such user here\r\n"}))
    server = serving(Postfix(elsewhere=elsewhere.port))
    invitation, message = invite(email=f"g{invite()[1]}@gone.example")
    address = queue(f"message_id = '{message}'")[0]["recipient"]
    relay = Relay(*server.options, "--once", "--bounce-address",
                  "bounce@mail.relay.test")
    equal(relay.wait(20), 0, "exit code")
    try:
        took = wait_for(lambda: queue(f"message_id = '{message}'")[0]
                        ["delivery"] == "bounced", 15)
    except AssertionError as late:
        raise AssertionError(server.log()) from late
    row = queue(f"message_id = '{message}'")[0]
    check("550 5.1.1 <gone>: no such user here" in row["bounce_detail"], row)
    equal(psql("SELECT usermgmt.use_tenant(:'slug')",
               "SELECT delivery FROM usermgmt.invitations"
               f" WHERE invitation_id = '{invitation}'", slug=TENANT),
          "bounced", "the invitation")
    equal(psql("SELECT count(*) FROM usermgmt.suppressed_addresses"
               f" WHERE address = '{address}'"), "1", "suppressed")
    wait_for(lambda: server.waiting() == 0, 10)
    equal(len(server.arrived()), 1, "the other mail")
    return f"recorded {took:.1f} s after the relay was done"


@case("R2 R3 R25: a real Postfix restarted in mid-queue: nothing is lost")
def restarted():
    count = 200
    server = serving(Postfix(defer=True))
    invite_many(count)
    rows = {row["message_id"] for row in unfinished()}
    relay = Relay(*server.options, "--connections", "2", "--batch", "5",
                  "--poll-interval", "1", "-d",
                  "options='-c usermgmt.mail_retry_after=1'")
    wait_for(lambda: server.waiting() >= count // 4, 20)
    server.stop()
    queued, left = server.waiting(), len(unfinished())
    check(queued >= count // 8 and left >= count // 4,
          f"{queued} in Postfix's queue, {left} in ours")
    server.configure(defer=False)
    server.start()
    wait_for(lambda: not unfinished() and server.waiting() == 0, 30)
    counts = collections.Counter(
        message_of(parse(wire)) for wire in server.arrived())
    equal(rows ^ set(counts), set(), "lost or strange")
    doubtful = relay.log().count("in doubt")
    more = sum(counts.values()) - count
    check(more <= doubtful, f"{more} duplicates, {doubtful} in doubt")
    return (f"0 lost of {count}, stopped with {queued} in its queue and {left}"
            f" in ours, {more} duplicates, {doubtful} in doubt")
