"""The mail server misbehaves."""
import re
import signal
import socket
import time

from harness import (Relay, TENANT, case, check, equal, invite, psql, queue,
                     retry, revoke, serving, state, wait_for)
from security_cases import certificate, tls
from smtp_server import DROP, RESET, STALL, Hold, ScriptedServer

STEPS = ("mail", "rcpt", "data", "dot")


def once(server, *arguments):
    return Relay.plain(server, "--once", *arguments)


def paused(relay):
    return re.search(r"paused for [0-9.]+ s, nothing can be sent: (.*)",
                     relay.log())


@case("F1 R3: kill -9 while claimed and in DATA: sent exactly once afterwards")
def killed_in_data():
    hold = Hold(then=DROP)
    server = serving(ScriptedServer({"data": [hold]}))
    message = invite()[1]
    relay = Relay.plain(server)
    check(hold.reached.wait(10), "no DATA")
    relay.kill()
    started = time.monotonic()
    hold.released.set()
    Relay.plain(server, "--poll-interval", "1")
    wait_for(lambda: state(message) == "sent", 10)
    equal(len(server.messages), 1, "mails")
    return f"0 duplicates, {time.monotonic() - started:.1f} s after the kill"


@case("F1 R3: kill -9 after the 250: repeated with the same Message-ID at most")
def killed_after_250():
    hold = Hold()
    server = serving(ScriptedServer({"dot": [hold]}))
    message = invite()[1]
    relay = Relay.plain(server)
    check(hold.reached.wait(10), "no dot")
    in_sending = [row["message_id"] for row in queue("state = 'sending'")]
    equal(in_sending, [message], "rows in sending at the kill")
    relay.signal(signal.SIGSTOP)
    hold.released.set()
    wait_for(lambda: len(server.messages) == 1)
    relay.kill()
    Relay.plain(server, "--poll-interval", "1")
    wait_for(lambda: state(message) == "sent", 10)
    ids = server.message_ids()
    equal(len(set(ids)), 1, "Message-IDs")
    check(len(ids) <= 2, "too many mails")
    return f"{len(ids) - 1} duplicate of {len(in_sending)} row in sending"


@case("F1: kill -9 of an idle relay loses nothing")
def killed_idle():
    server = serving(ScriptedServer())
    relay = Relay.plain(server)
    relay.backend()
    relay.kill()
    message = invite()[1]
    Relay.plain(server)
    wait_for(lambda: state(message) == "sent", 10)


@case("F2: a 4xx at any step is kept with its text, and tried again")
def temporary_refusals():
    for step in STEPS:
        words = f"451 4.3.0 not now ({step})"
        server = serving(ScriptedServer({step: [words.encode() + b"\r\n"]}))
        message = invite()[1]
        relay = once(server)
        equal(relay.wait(), 0, "exit code")
        equal(len(server.messages), 0, f"mails at {step}")
        check(state(message) in ("queued", "sent"), f"{step}: {state(message)}")
        check(f'outcome=later reply="{words}' in relay.log(), relay.log())
        retry(message)
        once(server).wait()
        equal(state(message), "sent", f"state after {step}")
    return f"{len(STEPS)} of {len(STEPS)} steps"


@case("F2 F3: a 4xx or 5xx greeting pauses the relay, and no mail pays")
def refusing_greetings():
    for words in ("421 4.3.2 full", "554 5.7.1 not you"):
        server = serving(
            ScriptedServer({"connect": [words.encode() + b"\r\n"]}))
        message = invite()[1]
        before = queue(f"message_id = '{message}'")[0]
        relay = Relay.plain(server)
        wait_for(lambda: paused(relay))
        check(words in paused(relay).group(1), relay.log())
        wait_for(lambda: state(message) == "sent", 5)
        equal(len(server.messages), 1, "mails")
        equal(relay.log().count("paused for"), 1, "lines about the pause")
        after = queue(f"message_id = '{message}'")[0]
        for name in ("attempt", "attempts"):
            if name in before:
                equal(after[name] - before[name], 1, "attempts paid")
        relay.kill()


@case("F3: a server that wants a login (530) pauses the relay, no mail dies")
def login_wanted():
    words = b"530 5.7.0 authentication required\r\n"
    server = serving(ScriptedServer({"mail": [words]}))
    message = invite()[1]
    relay = Relay.plain(server)
    wait_for(lambda: paused(relay))
    wait_for(lambda: state(message) == "sent", 5)
    check("outcome=never" not in relay.log(), relay.log())


@case("F3: a 5xx at any step is final, and an operator can retry it")
def permanent_refusals():
    for step in STEPS[1:]:
        words = f"550 5.1.1 never ({step})"
        server = serving(ScriptedServer({step: [words.encode() + b"\r\n"]}))
        message = invite()[1]
        relay = once(server)
        equal(relay.wait(), 0, "exit code")
        equal((state(message), len(server.messages)), ("dead", 0), step)
        check(f'outcome=never reply="{words}' in relay.log(), relay.log())
        retry(message)
        once(server).wait()
        equal(state(message), "sent", f"state after {step}")
    return f"{len(STEPS) - 1} of {len(STEPS) - 1} steps"


@case("F3: a refused sender is a matter of set-up: no mail dies, others go on")
def refused_sender():
    server = serving(ScriptedServer(
        {"mail": [b"553 5.7.1 sender not owned by you\r\n"] * 3}))
    messages = [invite()[1] for _ in range(2)]
    relay = Relay.plain(server)
    wait_for(lambda: "nothing can be sent from no-reply@localhost"
             in relay.log())
    wait_for(lambda: all(state(message) == "sent" for message in messages), 15)
    equal([queue(f"message_id = '{message}'")[0]["attempts"]
           for message in messages], [1, 1], "attempts paid")
    check("outcome=never" not in relay.log(), relay.log())


@case("F3 R5: one tenant's refused sender does not hold up the others")
def one_refused_sender():
    def refuse(session):
        return (b"550 5.7.1 not you\r\n" if b"wrong@" in session.line
                else None)

    server = serving(ScriptedServer({"mail": refuse}))
    sender("wrong@acme.example")
    try:
        bad = [invite()[1] for _ in range(3)]
        relay = Relay.plain(server, "--poll-interval", "60")
        wait_for(lambda: "nothing can be sent from wrong@" in relay.log())
        sender(None)
        good = invite()[1]
        took = wait_for(lambda: state(good) == "sent", 5)
        wait_for(lambda: all(state(one) == "sent" for one in bad), 30)
    finally:
        sender(None)
    relay.kill()
    check("nothing can be sent:" not in relay.log(), "everything was paused")
    return f"sent {took:.2f} s after its commit"


def sender(address):
    """What the tenant's mails come from; None is the server's setting."""
    psql("SELECT usermgmt.use_tenant(:'slug')",
         "SELECT usermgmt.set_tenant_setting('from_email', :'value')"
         if address else
         "SELECT usermgmt.reset_tenant_setting('from_email')",
         slug=TENANT, value=address or "")


@case("R5: a refused mail does not hold up those behind it")
def poison():
    server = serving(ScriptedServer({"rcpt": [None, b"550 no\r\n"]}))
    messages = [invite()[1] for _ in range(10)]
    once(server).wait()
    states = [state(message) for message in messages]
    equal((states.count("sent"), states.count("dead")), (9, 1), "states")
    return "9 of 10 sent, 1 dead"


@case("F4: a refused connection or unknown host pauses, and no mail pays")
def no_server():
    probe = socket.create_server(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    message = invite()[1]
    for url in (f"smtp://127.0.0.1:{port}", "smtp://nowhere.invalid:25"):
        relay = Relay("--smtp", url, "--tls", "none")
        wait_for(lambda: paused(relay), 15)
        wait_for(lambda: state(message) == "queued")
        relay.kill()
    relay = Relay("--smtp", f"smtp://127.0.0.1:{port}", "--tls", "none")
    wait_for(lambda: paused(relay))
    server = serving(ScriptedServer(port=port))
    took = wait_for(lambda: state(message) == "sent", 10)
    equal(len(server.messages), 1, "mails")
    return f"resumed {took:.1f} s after the server came"


@case("F5: a stall at any step ends by the timeout; nothing is lost")
def stalls():
    for step in ("connect", "ehlo") + STEPS:
        server = serving(ScriptedServer({step: [STALL]}))
        message = invite()[1]
        started = time.monotonic()
        relay = once(server, "--timeout", "1", "--connect-timeout", "0.5")
        code = relay.wait(8)
        took = time.monotonic() - started
        check(took < 4, f"{took} s at {step}")
        equal(code, 0 if step in STEPS else 111, f"exit code at {step}")
        equal(server.messages, [], "mails")
        equal("in doubt" in relay.log(), step == "dot", f"doubt at {step}")
        retry(message)
        equal(once(server).wait(), 0, "exit code")
        equal(state(message), "sent", f"state after {step}")


@case("F6: a connection dropped in mid-DATA is temporary; nothing was accepted")
def dropped_in_data():
    for action in (DROP, RESET):
        server = serving(ScriptedServer({"line": [None] * 5 + [action]}))
        message = invite()[1]
        relay = once(server)
        relay.wait()
        equal((server.dots, server.messages), (0, []), "dots and mails")
        check("outcome=later" in relay.log() or "outcome=sent" in relay.log(),
              relay.log())
        retry(message)
        once(server).wait()
        equal((state(message), len(server.messages)), ("sent", 1), "after")


@case("F7: a drop after the dot is in doubt: repeated, same Message-ID")
def dropped_after_dot():
    server = serving(ScriptedServer({"dot": [DROP]}))
    message = invite()[1]
    relay = once(server)
    relay.wait()
    check('outcome=later reply="in doubt' in relay.log(), relay.log())
    retry(message)
    once(server).wait()
    equal((state(message), server.dots, len(server.messages)), ("sent", 2, 1),
          "state, dots and mails")
    check(message in server.message_ids()[0], "another Message-ID")


@case("F8: a drop or stall at QUIT counts as sent, and holds nothing up")
def bad_quit():
    for action in (DROP, STALL):
        server = serving(ScriptedServer({"quit": action}))
        message = invite()[1]
        started = time.monotonic()
        equal(once(server).wait(), 0, "exit code")
        check(time.monotonic() - started < 2, "QUIT held the relay up")
        equal((state(message), len(server.messages)), ("sent", 1), "after")


@case("F8: a stall at QUIT after a refusal holds nothing up either")
def bad_quit_after_refusal():
    for step in ("rcpt", "data"):
        server = serving(ScriptedServer({step: [b"550 no\r\n"], "quit": STALL}))
        message = invite()[1]
        started = time.monotonic()
        equal(once(server).wait(), 0, "exit code")
        check(time.monotonic() - started < 2, "QUIT held the relay up")
        equal(state(message), "dead", "after a refusal at " + step)


@case("F9: garbage, endless and NUL-bearing replies are temporary and escaped")
def garbage():
    replies = {b"\xff\xfe garbage\r\n": "later",
               b"451 \x00\x1b[31m\xc3\x28 odd\r\n": "later",
               b"451 " + b"x" * 5000 + b"\r\n": "later",
               b"250-more\r\n" * 20000: "later",
               b"x" * 200000: "later",
               b"\r\n\r\n\r\n": "later",
               b"250-and then nothing\r\n": "later"}
    for reply, outcome in replies.items():
        server = serving(ScriptedServer({"rcpt": [reply]}))
        message = invite()[1]
        relay = once(server, "--timeout", "1")
        equal(relay.wait(8), 0, "exit code")
        check(f"outcome={outcome}" in relay.log(), relay.log())
        check(all(len(line) < 1200 for line in relay.log().splitlines()),
              "a reply was not cut")
        check("\x1b" not in relay.log(), "a reply was not escaped")
        equal(server.messages, [], "mails")
        retry(message)
        once(server).wait()
        equal(state(message), "sent", "state after")
    return f"{len(replies)} kinds"


@case("F9: a reply to the dot that never ends counts as in doubt, not as sent")
def endless_reply():
    server = serving(ScriptedServer({"dot": [b"250-queued, and\r\n"]}))
    message = invite()[1]
    relay = once(server, "--timeout", "1")
    relay.wait(8)
    check('outcome=later reply="in doubt' in relay.log(), relay.log())
    check(state(message) != "sent", "counted as sent")


@case("R3: a kept connection that died is replaced at once, and no mail pays")
def died_idle():
    for farewell in (DROP, b"421 4.4.2 idle too long\r\n"):
        server = serving(ScriptedServer({"mail": [None, farewell]}))
        relay = Relay.plain(server, "--poll-interval", "1")
        first = invite()[1]
        wait_for(lambda: state(first) == "sent")
        second = invite()[1]
        took = wait_for(lambda: state(second) == "sent", 5)
        check("outcome=later" not in relay.log(), relay.log())
        equal((len(server.messages), server.connections), (2, 2), "mails")
        check(took < 1.5, f"{took} s")
        relay.kill()


def revoked_in_data(context, *arguments):
    hold = Hold()
    server = serving(ScriptedServer({"data": [hold]}, starttls=context))
    invitation, message = invite()
    other = invite()[1]
    relay = Relay("--smtp", server.url, "--connections", "1", *arguments)
    check(hold.reached.wait(10), "no DATA")
    revoke(invitation)
    equal(state(message), "cancelled", "state")
    hold.released.set()
    wait_for(lambda: state(other) == "sent")
    check("outcome=cancelled" in relay.log(), relay.log())
    equal((server.dots, len(server.messages)), (1, 1), "dots and mails")
    check(message not in server.message_ids()[0], "the revoked mail was sent")
    equal(state(message), "cancelled", "state")
    return f"0 dots for the revoked mail, {server.body_bytes} octets seen"


@case("D23: revoked while claimed and in DATA: the server never gets the dot")
def revoked_plain():
    return revoked_in_data(None, "--tls", "none")


@case("D23: revoked while claimed and in DATA over TLS: never the dot either")
def revoked_tls():
    return revoked_in_data(tls("good"), "--ca-file", certificate("good")[0])


@case("R5: nothing is sent after its link expired")
def expired_in_data():
    hold = Hold()
    server = serving(ScriptedServer({"data": [hold]}))
    message = invite()[1]
    Relay.plain(server)
    check(hold.reached.wait(10), "no DATA")
    psql("UPDATE usermgmt.outbox SET expires_at = clock_timestamp()"
         f" WHERE message_id = '{message}'")
    hold.released.set()
    wait_for(lambda: server.body_bytes > 0)
    time.sleep(0.5)
    equal((server.dots, server.messages), (0, []), "dots and mails")
