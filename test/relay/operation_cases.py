"""The relay as its operator meets it."""
import os
import re
import signal
import time

from harness import (Relay, WORK, case, check, equal, invite, psql, queue,
                     serving, state, wait_for)
from security_cases import certificate, password_file, tls
from security_cases import Kept
from smtp_server import Hold, ScriptedServer

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


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
