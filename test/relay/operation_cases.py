"""The relay as its operator meets it."""
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from harness import (FAKETIME, RELAY, Relay, Skip, WORK, case, check, equal, invite,
                     invite_many, psql, queue, serving, state, wait_for)
from security_cases import certificate, password_file, tls
from security_cases import Kept
from smtp_server import Hold, ScriptedServer


def quoted(session):
    """A refusal that repeats the mail's link, as a content filter might."""
    body = session.body.replace(b"=\r\n", b"").replace(b"=3D", b"=")
    link = re.search(rb"http\S+token=\S+", body).group(0)
    session.server.links.append(link.split(b"token=")[1].decode())
    return b"550 5.7.1 rejected: " + link + b" is " + link[-70:] + b"\r\n"


@case("S1.16 R24: a link that the server quotes is in no log and no table")
def quoted_link():
    server = serving(ScriptedServer({"dot": [quoted]}))
    server.links = []
    message = invite()[1]
    relay = Relay.plain(server, "--once")
    relay.wait()
    equal(state(message), "dead", "state")
    reply = queue(f"message_id = '{message}'")[0]["reply"]
    kept = psql("SELECT coalesce(string_agg(reply, ' '), '') FROM"
                f" usermgmt.outbox_attempt WHERE message_id = '{message}'")
    link = server.links[0]
    for start in range(0, len(link) - 20):
        piece = link[start:start + 20]
        check(piece not in relay.log() + reply + kept, f"{piece} is kept")
    check("550 5.7.1 rejected: http://localhost:3000/accept-invitation"
          in reply, reply)


@case("B12: a pause by an operator holds even mail that is being sent")
def paused_in_data():
    hold = Hold()
    server = serving(ScriptedServer({"data": [hold]}))
    message = invite()[1]
    relay = Relay.plain(server, "--poll-interval", "0.5")
    check(hold.reached.wait(10), "no DATA")
    psql("SELECT usermgmt.outbox_pause('testing')")
    try:
        hold.released.set()
        wait_for(lambda: state(message) == "queued")
        time.sleep(0.7)
        equal((server.dots, state(message)), (0, "queued"), "dots and state")
    finally:
        psql("SELECT usermgmt.outbox_resume()")
    wait_for(lambda: state(message) == "sent")
    equal(queue(f"message_id = '{message}'")[0]["attempts"], 1, "attempts")
    relay.kill()


@case("R23: the directory transport writes through no link that lies in wait")
def planted_link():
    target = os.path.join(WORK, "planted")
    victim = os.path.join(WORK, "victim")
    os.mkdir(target)
    with open(victim, "w", encoding="utf-8") as file:
        file.write("untouched")
    message = invite()[1]
    os.symlink(victim, os.path.join(target, f".{message}.tmp"))
    equal(Relay("--transport", f"dir:{target}", "--once").wait(), 0, "code")
    with open(victim, encoding="utf-8") as file:
        equal(file.read(), "untouched", "the victim")
    equal(os.listdir(target), [f"{message}.eml"], "files")
    check(not os.path.islink(os.path.join(target, f"{message}.eml")), "a link")


@case("R24 R25: SIGHUP uses a mended password at once")
def reload():
    kept = Kept(tls_context=tls("good"), require_starttls=True,
                auth_required=True)
    message = invite()[1]
    path = password_file("wrong")
    relay = Relay("--smtp", f"smtp://127.0.0.1:{kept.port}",
                  "--ca-file", certificate("good")[0], "--smtp-user", "relay",
                  "--smtp-password-file", path)
    wait_for(lambda: relay.log().count("paused for") >= 3, 10)
    equal(state(message), "queued", "state")
    password_file("correct horse")
    relay.signal(signal.SIGHUP)
    took = wait_for(lambda: state(message) == "sent", 3)
    check("outcome=never" not in relay.log(), relay.log())
    return f"sent {took:.2f} s after the signal"


@case("F18: a clock that jumps by a day on the relay's host changes nothing")
def relay_clock():
    clock = os.path.join(WORK, "clock")

    def jump(offset):
        with open(clock, "w", encoding="utf-8") as file:
            file.write(offset + "\n")

    jump("+0")
    server = serving(ScriptedServer())
    relay = Relay.plain(
        server, "--poll-interval", "60", environment={
            "LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": clock,
            "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    waits = []
    relay.backend()
    for offset in ("+0", "+1d", "-1d", "+0"):
        jump(offset)
        time.sleep(0.3)
        message = invite()[1]
        waits.append(wait_for(lambda: state(message) == "sent", 5))
    dates = [re.search(rb"Date: (.*)\r\n", mail).group(1)[:16]
             for mail in server.messages]
    equal(len(set(dates)), 3, "days seen")
    equal(len(server.messages), 4, "mails")
    return f"slowest {max(waits):.2f} s"


ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def output(*arguments):
    return subprocess.run([RELAY, *arguments], capture_output=True, text=True,
                          timeout=20, check=True).stdout


def text_of(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


@case("R29: --print-config shows every value but no secret")
def print_config():
    shown = output("--print-config", "--smtp", "smtp://mail.example.org:587",
                   "-d", "host=db password=hush", "--batch", "7")
    check("smtp = smtp://mail.example.org:587\n" in shown, shown)
    check("batch = 7\n" in shown and "poll-interval = 5\n" in shown, shown)
    check("hush" not in shown and "database = ***\n" in shown, shown)
    for conninfo in ("postgres://u:hush@db/app", "postgres://db/?password=hush"):
        check("hush" not in output("--print-config", "--bounce", "-d", conninfo),
              "a password is shown")


@case("R29: --dry-run shows what is due and leaves it as it is")
def dry_run():
    message = invite("Zoë")[1]
    before = psql("SELECT row(o.*) FROM usermgmt.outbox AS o"
                  f" WHERE message_id = '{message}'")
    shown = output("--dry-run")
    check(f"message={message} kind=invitation attempt=1" in shown, shown)
    check("Subject: " in shown and "1 message is due" in shown, shown)
    check("To: Zoë <p" in shown and "accept-invitation?token=*" in
          shown.replace("?*", "?token=*"), shown)
    check(not re.search(r"[A-Za-z0-9_-]{41}", shown), "a token is shown")
    equal(psql("SELECT row(o.*) FROM usermgmt.outbox AS o"
               f" WHERE message_id = '{message}'"), before, "the row")


@case("R29: the man page, the manual and --help name the same options")
def options_documented():
    helped = set(re.findall(r"(?m)^.{6}--([a-z-]+)", output("--help")))
    man = set(re.findall(r"Fl -([a-z-]+)",
                         text_of("src", "relay", "usermgmt-relay.1")))
    manual = set(re.findall(r"`--([a-z-]+)", text_of("docs", "relay.md")))
    equal((sorted(helped ^ man), sorted(helped ^ manual)), ([], []),
          "differences")
    check(len(helped) > 20, helped)
    if not shutil.which("mandoc"):
        raise Skip("mandoc is not here")
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning",
         os.path.join(ROOT, "src", "relay", "usermgmt-relay.1")],
        capture_output=True, text=True, check=False)
    equal(done.stdout, "", "complaints about the man page")
    return f"{len(helped)} options"


@case("R29: systemd is told when the relay works, is paused, lives and stops")
def notifications():
    path = os.path.join(WORK, "notify")
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(path)
    manager.settimeout(10)
    invite()
    relay = Relay("--smtp", "smtp://127.0.0.1:9", "--tls", "none",
                  environment={"NOTIFY_SOCKET": path})
    check(manager.recv(1000).startswith(b"READY=1\n"), "READY")
    while b"STATUS=Paused: connect" not in (words := manager.recv(1000)):
        check(words.startswith(b"WATCHDOG=1\n"), words)
    equal(relay.stop(), 0, "exit code")
    while not (words := manager.recv(1000)).startswith(b"STOPPING=1"):
        check(words.startswith(b"WATCHDOG=1\n"), words)
    manager.close()


@case("R29: the unit is one that systemd accepts, and hardened")
def unit():
    if not shutil.which("systemd-analyze"):
        raise Skip("systemd-analyze is not here")
    path = os.path.join(ROOT, "src", "relay", "usermgmt-relay.service")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    shown = re.findall(r"^#   USERMGMT_RELAY_\w+=(.*)$", text, re.MULTILINE)
    check(shown and not any("%" in value for value in shown),
          "an environment file has no specifiers")
    check("\nRuntimeDirectory=usermgmt-relay\n" in text and
          "/run/usermgmt-relay/relay.prom" in shown,
          "the figures are where only the dynamic user looks")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20",
         path],
        capture_output=True, text=True, check=False)
    equal(done.returncode, 0, done.stdout + done.stderr)
    return re.search(r"exposure level .*: ([0-9.]+)", done.stdout)[1]


@case("F16: a relay and an extension that differ in version send nothing")
def other_version():
    server = serving(ScriptedServer())
    message = invite()[1]
    version = psql("SELECT extversion FROM pg_extension"
                   " WHERE extname = 'usermgmt'")

    def pretend(other):
        psql("UPDATE pg_extension SET extversion = :'version'"
             " WHERE extname = 'usermgmt'", version=other)

    pretend("99.1.0")
    try:
        equal(Relay.plain(server, "--once").wait(), 111, "exit code")
        relay = Relay.plain(server)
        wait_for(lambda: "is version 99.1.0, and this relay is version"
                 in relay.log())
        equal((server.connections, state(message)), (0, "queued"), "after")
        pretend(version + "9")
        wait_for(lambda: state(message) == "sent", 10)
    finally:
        pretend(version)


@case("R5: a recipient that stalls holds up nobody with a second connection")
def slow_recipient():
    waits = []
    for step in ("rcpt", "dot"):
        def stall(session):
            if b"<slow" in session.line + session.body:
                time.sleep(2)

        server = serving(ScriptedServer({step: stall}))
        slow = invite(email=f"slow{time.time_ns()}@example.org")[1]
        invite_many(30)
        relay = Relay.plain(server, "--connections", "2")
        waits.append(wait_for(lambda s=server: len(s.messages) == 30, 1.9))
        equal(state(slow) == "sent", False, "the slow one")
        wait_for(lambda m=slow: state(m) == "sent", 6)
        relay.kill()
    return ", ".join(f"30 others sent in {wait:.1f} s" for wait in waits)


@case("R3: several connections are used, kept and renewed, each mail once")
def connections():
    server = serving(ScriptedServer(delay=0.005))
    invite_many(500)
    started = time.monotonic()
    equal(Relay.plain(server, "--once", "--connections", "4").wait(40), 0,
          "exit code")
    ids = server.message_ids()
    equal((len(ids), len(set(ids))), (500, 500), "mails")
    check(4 <= server.connections <= 9, f"{server.connections} connections")
    return f"{500 / (time.monotonic() - started):.0f} mails/s at 5 ms a mail"
