"""Nobody reads along, and nothing gets in that does not belong."""
import email
import email.policy
import io
import os
import random
import re
import socket
import ssl
import subprocess

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from harness import (RELAY, Relay, WORK, case, check, equal, invite,
                     serving, state, wait_for)
from smtp_server import ScriptedServer

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "..", "..", "src", "relay")


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def certificate(name, subject="IP:127.0.0.1,DNS:localhost", days="2"):
    """A self-signed certificate; gives the paths of it and of its key."""
    crt, key = (os.path.join(WORK, f"{name}.{kind}") for kind in ("crt", "key"))
    if not os.path.exists(crt):
        request = os.path.join(WORK, f"{name}.csr")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
                "-addext", f"subjectAltName={subject}", "-keyout", key,
                "-out", request)
        openssl("x509", "-req", "-in", request, "-signkey", key, "-days", days,
                "-copy_extensions", "copy", "-out", crt)
    return crt, key


def tls(name, **options):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(name, **options))
    return context


def password_file(text, mode=0o600):
    path = os.path.join(WORK, f"password-{mode:o}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    os.chmod(path, mode)
    return path


class Keeper:
    """aiosmtpd's handler: keeps what arrives."""

    def __init__(self):
        self.mails = []
        self.logins = []

    async def handle_DATA(self, _server, _session, envelope):
        self.mails.append(envelope.original_content)
        return "250 2.0.0 kept"

    def authenticate(self, _server, _session, _envelope, _mechanism, data):
        self.logins.append((data.login, data.password))
        good = data.password == b"correct horse"
        return AuthResult(success=good, handled=False)


class Kept:
    """A running aiosmtpd for one case."""

    def __init__(self, **options):
        self.keeper = Keeper()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.controller = Controller(
            self.keeper, hostname="127.0.0.1", port=self.port,
            authenticator=self.keeper.authenticate, **options)
        self.controller.start()
        serving(self)

    def close(self):
        self.controller.stop()


@case("R24: STARTTLS, a checked certificate and a login deliver")
def starttls_login():
    kept = Kept(tls_context=tls("good"), require_starttls=True,
                auth_required=True)
    message = invite("Zoë")[1]
    relay = Relay("--smtp", f"smtp://127.0.0.1:{kept.port}", "--once",
                  "--ca-file", certificate("good")[0], "--smtp-user", "relay",
                  "--smtp-password-file", password_file("correct horse"))
    equal(relay.wait(), 0, "exit code")
    equal(len(kept.keeper.mails), 1, "mails")
    equal(kept.keeper.logins, [(b"relay", b"correct horse")], "logins")
    equal(state(message), "sent", "state")
    check("correct horse" not in relay.log(), "the password is in the log")
    mail = email.message_from_bytes(kept.keeper.mails[0],
                                    policy=email.policy.default)
    equal(mail.defects, [], "defects")
    link = re.search(r"token=(\S+)",
                     mail.get_body(("plain",)).get_content()).group(1)
    check(link not in relay.log(), "a link is in the log")


@case("R24: a credential of systemd's may seem to let a group read it")
def credential():
    path = password_file("correct horse", 0o440)
    for directory, code, logins in ((os.path.dirname(path), 0, 1),
                                    ("/elsewhere", 111, 0)):
        kept = Kept(tls_context=tls("good"), require_starttls=True,
                    auth_required=True)
        invite()
        relay = Relay("--smtp", f"smtp://127.0.0.1:{kept.port}", "--once",
                      "--ca-file", certificate("good")[0], "--smtp-user",
                      "relay", "--smtp-password-file", path,
                      environment={"CREDENTIALS_DIRECTORY": directory})
        equal(relay.wait(), code, relay.log())
        equal(len(kept.keeper.logins), logins, "log-ins")


@case("R24: smtps:// delivers")
def implicit_tls():
    kept = Kept(ssl_context=tls("good"))
    invite()
    relay = Relay("--smtp", f"smtps://127.0.0.1:{kept.port}", "--once",
                  "--ca-file", certificate("good")[0])
    equal(relay.wait(), 0, "exit code")
    equal(len(kept.keeper.mails), 1, "mails")


@case("R24: a wrong password pauses the relay, and no mail pays")
def wrong_password():
    kept = Kept(tls_context=tls("good"), auth_required=True)
    message = invite()[1]
    relay = Relay("--smtp", f"smtp://127.0.0.1:{kept.port}", "--once",
                  "--ca-file", certificate("good")[0], "--smtp-user", "relay",
                  "--smtp-password-file", password_file("wrong"))
    equal(relay.wait(), 111, "exit code")
    check("paused for" in relay.log() and "535" in relay.log(), relay.log())
    equal((state(message), kept.keeper.mails), ("queued", []), "after")


@case("R25: a mended password file is noticed without a restart")
def mended_password():
    kept = Kept(tls_context=tls("good"), auth_required=True)
    message = invite()[1]
    relay = Relay("--smtp", f"smtp://127.0.0.1:{kept.port}", "--ca-file",
                  certificate("good")[0], "--smtp-user", "relay",
                  "--smtp-password-file", password_file("wrong"))
    wait_for(lambda: "paused for" in relay.log())
    password_file("correct horse")
    return f"sent {wait_for(lambda: state(message) == 'sent', 10):.1f} s later"


@case("R24: opportunistic TLS is used where offered, and only then")
def opportunistic():
    for context in (None, tls("good")):
        server = serving(ScriptedServer(starttls=context))
        invite()
        relay = Relay("--smtp", server.url, "--once", "--tls", "opportunistic",
                      "--ca-file", certificate("good")[0])
        equal(relay.wait(), 0, "exit code")
        equal(len(server.messages), 1, "mails")
        equal("STARTTLS" in server.verbs(), context is not None, "STARTTLS")


@case("R24: without TLS, or with a certificate that is not right, no mail leaves")
def refused_tls():
    good = certificate("good")[0]
    servers = {
        "no STARTTLS": (None, good),
        "unknown authority": (tls("unknown"), good),
        "wrong name": (tls("wrong", subject="DNS:other.example"),
                       certificate("wrong", subject="DNS:other.example")[0]),
        "expired": (tls("old", days="-1"), certificate("old")[0]),
    }
    secret = password_file("correct horse")
    for name, (context, authority) in servers.items():
        server = serving(ScriptedServer(starttls=context))
        message = invite()[1]
        relay = Relay("--smtp", server.url, "--once", "--ca-file", authority,
                      "--smtp-user", "u", "--smtp-password-file", secret)
        equal(relay.wait(), 111, f"exit code, {name}")
        check("paused for" in relay.log(), relay.log())
        check(set(server.verbs()) <= {"EHLO", "STARTTLS", "QUIT"},
              f"{name}: {server.verbs()}")
        equal((server.body_bytes, state(message)), (0, "queued"), name)
    return f"0 octets of mail or password to {len(servers)} servers"


@case("R24: a STARTTLS that the server breaks off sends no mail")
def stripped_starttls():
    server = serving(ScriptedServer({"starttls": b"454 4.7.0 no TLS now\r\n"},
                                    starttls=tls("good")))
    invite()
    equal(Relay("--smtp", server.url, "--once").wait(), 111, "exit code")
    equal((server.body_bytes, "MAIL" in server.verbs()), (0, False), "octets")


@case("R24: calls that would leak are refused with exit code 100 or 111")
def refused_calls():
    url = "smtp://127.0.0.1:9"
    secret = password_file("x")
    fifo = os.path.join(WORK, "fifo")
    os.mkfifo(fifo, 0o600)
    wrong = {
        (): 100,
        ("--smtp", "http://127.0.0.1"): 100,
        ("--smtp", "smtp://u:p@127.0.0.1"): 100,
        ("--smtp", url, "--tls", "maybe"): 100,
        ("--smtp", url, "--transport", "dir:/tmp"): 100,
        ("--smtp", url, "--smtp-user", "u"): 100,
        ("--smtp", url, "--tls", "opportunistic", "--smtp-user", "u",
         "--smtp-password-file", secret): 100,
        ("--smtp", url, "--batch", "0"): 100,
        ("--smtp", url, "extra"): 100,
        ("--smtp", "smtp://"): 100,
        ("--smtp", "smtp://host:99999"): 100,
        ("--smtp", "smtp://ho st"): 100,
        ("--smtp", "smtp://host/name?query"): 100,
        ("--smtp", url, "--worker", ""): 100,
        ("--smtp", url, "--worker", "two words"): 100,
        ("--smtp", url, "--worker", "x" * 128): 100,
        ("--smtp", url, "--connections", "65"): 100,
        ("--smtp", url, "--bounce-address", "no address"): 100,
        ("--smtp", url, "--bounce-address", "x" * 28 + "@a.example"): 100,
        ("--https", "http://127.0.0.1/"): 100,
        ("--https", "https://user:key@127.0.0.1/"): 100,
        ("--https", "https://127.0.0.1/?key=x"): 100,
        ("--https", "https://127.0.0.1/", "--tls", "none"): 100,
        ("--https", "https://127.0.0.1/"): 111,
        ("--bounce", "extra"): 64,
        ("--smtp", url, "--smtp-user", "u", "--smtp-password-file",
         password_file("x", 0o640)): 111,
        ("--smtp", url, "--smtp-user", "u", "--smtp-password-file", fifo): 111,
        ("--transport", "dir:/nonexistent"): 111,
    }
    for arguments, code in wrong.items():
        done = subprocess.run([RELAY, *arguments], capture_output=True,
                              timeout=10, check=False)
        equal(done.returncode, code, f"exit code of {arguments}")
    for flag in ("--help", "--version"):
        subprocess.run([RELAY, flag], check=True, capture_output=True)
    return f"{len(wrong)} of {len(wrong)}"


@case("R24: options are read from the environment too")
def environment():
    server = serving(ScriptedServer())
    invite()
    relay = Relay(environment={"USERMGMT_RELAY_SMTP": server.url,
                               "USERMGMT_RELAY_TLS": "none",
                               "USERMGMT_RELAY_ONCE": "1"})
    equal(relay.wait(), 0, "exit code")
    equal(len(server.messages), 1, "mails")


def builder():
    """The program that renders messages from standard input."""
    program = os.path.join(WORK, "message_test")
    here = os.path.dirname(os.path.abspath(__file__))
    subprocess.run(
        ["cc", "-std=gnu11", "-g", "-fsanitize=address,undefined", "-I",
         SOURCES, "-o", program, os.path.join(here, "message_test.c"),
         os.path.join(SOURCES, "message.c"), os.path.join(SOURCES, "header.c"),
         "-lidn2"], check=True)
    return program


SAFE = ["Ann", "Zoë", "名前", "a b", '"', "\\", "=?UTF-8?Q?x?=", "🙂",
        "<x@y.z>", ",", ";", ":", "'", "=", "?", "é" * 50, "w" * 90, " ",
        "(c)", "\u2028", "."]
HOSTILE = ["\r\nBcc: x@evil.example", "\n", "\r", "\x01", "\x7f", "\x85",
           "\r\n\r\nbody", "\t"]
ALLOWED = {"Date", "From", "To", "Reply-To", "Subject", "Message-ID",
           "Auto-Submitted", "X-Auto-Response-Suppress", "MIME-Version",
           "Content-Type"}


def check_letter(wire, fields):
    """Exactly our headers, one recipient, and everything reads back."""
    stripped = wire.replace(b"\r\n", b"")
    check(b"\r" not in stripped and b"\n" not in stripped, "a bare CR or LF")
    check(max(map(len, wire.split(b"\r\n"))) <= 998, "a long line")
    head = wire.split(b"\r\n\r\n")[0]
    check(max(map(len, head.split(b"\r\n"))) <= 340, "a long header line")
    for word in re.findall(rb"=\?UTF-8\?B\?[^?]*\?=", head):
        check(len(word) <= 75, "a long encoded word")
    mail = email.message_from_bytes(wire, policy=email.policy.default)
    equal(mail.defects, [], "defects")
    equal(sorted(mail.keys()), sorted(set(mail.keys())), "headers")
    check(set(mail.keys()) <= ALLOWED, f"headers {mail.keys()}")
    equal(len(mail["To"].addresses), 1, "recipients")
    equal(mail["Subject"], fields["subject"], "subject")
    text = re.sub(r"\r\n?|\n", "\n", fields["text"])
    found = mail.get_body(("plain",)).get_content().replace("\r\n", "\n")
    equal(found.rstrip("\n"), text.rstrip("\n"), "text")


@case("R23: of 10,000 hostile messages none adds a header or a recipient")
def hostile_headers():
    chance = random.Random(23)
    records, wanted = [], []

    def words(most, pool):
        return "".join(chance.choice(pool)
                       for _ in range(chance.randrange(1, most)))

    for _ in range(10000):
        fields = {
            "from_name": words(8, SAFE), "to_name": words(8, SAFE),
            "subject": "s" + words(12, SAFE) + "e",
            "recipient": chance.choice(["p@example.org", "p+x@bücher.example",
                                        "o'neil@EXAMPLE.org"]),
            "text": words(20, SAFE + ["\n", "\r\n", "\n.\n", "\r"]),
        }
        bad = chance.random() < 0.3
        if bad:
            victim = chance.choice(["from_name", "to_name", "subject",
                                    "recipient"])
            fields[victim] = chance.choice(
                [fields[victim] + chance.choice(HOSTILE), chance.choice(
                    HOSTILE) + fields[victim]])
            if victim == "recipient" and chance.random() < 0.5:
                fields[victim] = chance.choice(
                    ["zoë@example.org", "a b@c.d", "a@b@c", "a@", "@b", "ab",
                     "<a@b.c>", "a@b.c>\r\nRCPT TO:<x@y.z", "a@b c",
                     "a,b@c.d", "a@b.c,d@e.f"])
        records.append(fields)
        wanted.append(bad)

    data = b"".join(fields[name].encode() + b"\0" for fields in records
                    for name in ("from_name", "to_name", "subject",
                                 "recipient", "text"))
    output = io.BytesIO(
        subprocess.run([builder()], input=data, capture_output=True,
                       check=True, timeout=300).stdout)
    refused = 0
    for fields, bad in zip(records, wanted):
        line = output.readline()
        if line.startswith(b"NO "):
            refused += 1
            check(bad, f"{fields} refused: {line}")
            continue
        wire = output.read(int(line.split()[1]))
        check(not bad, f"{fields} accepted")
        check_letter(wire, fields)
    return f"0 extra headers of 10000, {refused} refused"


@case("R23: hostile names through the real relay give no unexpected command")
def hostile_through_relay():
    chance = random.Random(24)
    server = serving(ScriptedServer())
    sent = 0
    for _ in range(40):
        name = "".join(chance.choice(SAFE) for _ in range(5)).strip()[:60]
        try:
            invite(name.replace("'", ""))
            sent += 1
        except AssertionError:
            continue
    equal(Relay.plain(server, "--once").wait(30), 0, "exit code")
    equal(len(server.messages), sent, "mails")
    equal(set(server.verbs()), {"EHLO", "MAIL", "RCPT", "DATA", "QUIT"},
          "commands")
    equal(server.verbs().count("RCPT"), sent, "recipients")
    return f"0 unexpected commands in {sent} mails"
