"""Mails that come back: usermgmt-relay --bounce."""
import email.message
import os
import random
import subprocess
import time

from harness import (RELAY, Relay, WORK, case, check, equal, invite, psql, queue,
                     serving, state)
from smtp_server import ScriptedServer

REPORTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reports")
SOURCES = os.path.join(REPORTS, "..", "..", "..", "src", "relay")


def bounce(report, *arguments, environment=None):
    """Pipes a report into the program; gives its exit code and its log."""
    done = subprocess.run(
        [RELAY, "--bounce", *arguments], input=report, capture_output=True,
        timeout=20, check=False, env={**os.environ, **(environment or {})})
    return done.returncode, done.stderr.decode(errors="replace")


def sent():
    """A mail that was sent; gives its message, its invitation and address."""
    server = serving(ScriptedServer())
    invitation, message = invite()
    equal(Relay.plain(server, "--once").wait(), 0, "exit code")
    return message, invitation, queue(f"message_id = '{message}'")[0]["recipient"]


def report_of(name, message):
    """Postfix's report, as if it were about this message."""
    with open(os.path.join(REPORTS, f"{name}.eml"), "rb") as file:
        text = file.read()
    old = text.split(b"0190c4a0-0000-7000-8000-")[1][:12]
    return text.replace(b"0190c4a0-0000-7000-8000-" + old, message.encode())


def row_of(message):
    return queue(f"message_id = '{message}'")[0]


def suppressed(address):
    return psql("SELECT count(*) FROM usermgmt.address_suppression"
                " WHERE address = :'address'", address=address) == "1"


@case("S2.17 B18: Postfix's report of an unknown user marks and suppresses")
def permanent():
    for name in ("refused", "no-domain"):
        message, invitation, address = sent()
        code, log = bounce(report_of(name, message))
        equal(code, 0, log)
        row = row_of(message)
        equal(row["delivery"], "bounced", row)
        check(": 5." in row["bounce_detail"], row["bounce_detail"])
        check("token" not in log, log)
        check(suppressed(address), "not suppressed")
        equal(psql("SELECT usermgmt.use_tenant('relay-test')",
                   "SELECT delivery FROM usermgmt.invitations"
                   f" WHERE invitation_id = '{invitation}'"), "bounced",
              "the invitation")


@case("S2.17: Postfix's warning of a delay is recorded, and is no bounce")
def delayed():
    message, _, address = sent()
    code, log = bounce(report_of("delayed", message))
    equal(code, 0, log)
    row = row_of(message)
    equal((row["delivery"], suppressed(address)), ("sent", False), "after")
    check(": 4." in row["bounce_detail"], row["bounce_detail"])


@case("S2.17: Postfix's report after days in vain bounces without suppressing")
def expired():
    message, _, address = sent()
    equal(bounce(report_of("expired", message))[0], 0, "exit code")
    row = row_of(message)
    equal((row["delivery"], suppressed(address)), ("bounced", False), "after")
    check("failed (4.4.1)" in row["bounce_detail"], row["bounce_detail"])


@case("S2.17: Postfix's report of success changes nothing")
def delivered():
    message, _, _ = sent()
    code, log = bounce(report_of("delivered", message))
    equal(code, 0, log)
    check("ignored" in log, log)
    equal((row_of(message)["delivery"], row_of(message)["bounce_detail"]),
          ("sent", None), "after")


@case("S2.17: bounces go to an address of the message's own (VERP)")
def verp():
    server = serving(ScriptedServer())
    message = invite()[1]
    relay = Relay.plain(server, "--once", "--bounce-address",
                        "bounce@mail.example.org")
    equal(relay.wait(), 0, "exit code")
    address = f"bounce+{message}@mail.example.org"
    check(f"MAIL FROM:<{address}>".encode() in server.commands[1],
          server.commands)
    check(b"From: \"Relay Test\" <no-reply@localhost>" in server.messages[0],
          "From")
    anonymous = report_of("refused", message).replace(message.encode(), b"x")
    equal(bounce(anonymous)[0], 0, "exit code")
    equal(row_of(message)["delivery"], "sent", "a report about nothing")
    code, log = bounce(anonymous, environment={"ORIGINAL_RECIPIENT": address})
    equal((code, row_of(message)["delivery"]), (0, "bounced"), log)

    message, _, _ = sent()
    code, log = bounce(anonymous, "--bounce-recipient",
                       f"bounce+{message}@mail.example.org")
    equal((code, row_of(message)["delivery"]), (0, "bounced"), log)


@case("S2.17: without the database the mail server is asked to try again")
def no_database():
    message, _, _ = sent()
    report = report_of("refused", message)
    equal(bounce(report, "-d", "host=/nonexistent")[0], 75, "exit code")
    equal(bounce(report, "extra")[0], 64, "exit code")
    equal(row_of(message)["delivery"], "sent", "after")


@case("S2.17: what is no report, or of no mail of ours, is taken and ignored")
def ignored():
    message, _, _ = sent()
    good = report_of("refused", message)
    stranger = good.replace(message.encode(),
                            b"0190c4a0-0000-7000-8000-0000deadbeef")
    words = (b"From: a@b.example\nTo: bounce@b.example\nSubject: I am away\n\n"
             b"Final-Recipient: rfc822; x\nAction: failed\nStatus: 5.1.1\n"
             b"Message-ID: <" + message.encode() + b"@x>\n")
    for text in (b"", b"\0", b"\n", words, stranger, good[:400],
                 b"x" * 5_000_000, good.replace(b"multipart/report", b"a/b")):
        code, log = bounce(text)
        equal(code, 0, log)
        equal(row_of(message)["delivery"], "sent", text[:60])
    started = time.monotonic()
    equal(bounce(good + b"y" * 80_000_000)[0], 0, "exit code")
    equal(row_of(message)["delivery"], "bounced", "a long one")
    return f"80 MB in {time.monotonic() - started:.1f} s"


def reader():
    """The parser, with the sanitizers, on standard input."""
    program = os.path.join(WORK, "report_test")
    subprocess.run(
        ["cc", "-std=gnu11", "-D_GNU_SOURCE", "-g",
         "-fsanitize=address,undefined", "-fno-sanitize-recover", "-I", SOURCES,
         "-o", program, os.path.join(REPORTS, "..", "report_test.c"),
         os.path.join(SOURCES, "report.c")], check=True)
    return program


def record(text):
    return len(text).to_bytes(4, "little") + text


@case("R21: hostile reports break nothing: 20,000 mutations under sanitizers")
def hostile():
    chance = random.Random(21)
    seeds = [report_of(name, "0190c4a0-0000-7000-8000-00000000000f")
             for name in ("refused", "delayed", "expired", "delivered")]
    texts = []
    for _ in range(20000):
        text = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(1, 12)):
            at = chance.randrange(len(text))
            end = at + chance.randrange(60)
            text[at:end] = chance.choice(
                [b"", b"\n", b"--", b"\0" * 9, b"A" * 3000, b";", b"\n\n",
                 bytes(text[end:end + 40]), b"\r\n \r\n ", b"Status:",
                 bytes([chance.randrange(256)])])
        texts.append(bytes(text))
    done = subprocess.run([reader()], input=b"".join(map(record, texts)),
                          capture_output=True, timeout=100, check=False)
    equal(done.returncode, 0, done.stderr[-2000:])
    lines = done.stdout.splitlines()
    equal(len(lines), len(texts), "answers")
    return f"{sum(line[:1] != b'0' for line in lines)} still read as reports"


@case("S2.17: reports as other mailers and Python's library write them are read")
def other_mailers():
    name = "0190c4a0-0000-7000-8000-00000000000f"
    texts = []
    for newline in ("\n", "\r\n"):
        report = email.message.EmailMessage()
        report["To"] = f"bounce+{name}@mail.example.org"
        report.set_type("multipart/report")
        report.set_param("report-type", "delivery-status")
        report.set_boundary("=_next part_; 'quoted' " + "b" * 30)
        text = report.as_string()
        boundary = report.get_boundary()
        text += "\n".join([
            "This is a MIME report.", "--" + boundary,
            "Content-Type: text/plain", "", "Status: 5.9.9", "Action: failed",
            "--" + boundary, "content-type: MESSAGE/Delivery-Status;", " x=y",
            "", "Reporting-MTA: dns; mx.example", "",
            "Original-Recipient: rfc822;Zoe@Example.org",
            "final-recipient:  RFC822 ; <zoe@example.org>", "ACTION: Failed",
            "Status:5.1.1 (bad mailbox)",
            "Diagnostic-Code: smtp; 550", "  no such", "\tuser", "",
            "--" + boundary + "--", ""])
        texts.append(text.replace("\n", newline).encode())
    done = subprocess.run([reader()], input=b"".join(map(record, texts)),
                          capture_output=True, timeout=20, check=True)
    for line in done.stdout.decode().splitlines():
        equal(line, f"1 {name}  zoe@example.org|Failed|5.1.1|smtp; "
              "550  no such\tuser", "fields")
