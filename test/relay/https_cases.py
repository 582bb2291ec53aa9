"""A provider's HTTP API, played on loopback."""
import json
import os
import re
import socket
import threading

from harness import (Relay, case, check, equal, invite, psql, queue, retry, revoke,
                     serving, state, wait_for)
from security_cases import certificate, password_file, tls
from smtp_server import DROP, Hold

KEY = "re_test_4711"


class Provider:
    """answers is a list, used up one by one, of (status, headers, body) or DROP;
    after that each request is accepted.  before is waited for by each
    connection ahead of TLS."""

    def __init__(self, *answers, context=None, before=None):
        self.answers = list(answers)
        self.context = context or tls("good")
        self.before = before
        self.requests = []       # (path, headers, body), whole ones
        self.incomplete = 0      # octets of a body that missed its end
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}/emails"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,),
                             daemon=True).start()

    def serve(self, connection):
        if self.before:
            self.before.reached.set()
            self.before.released.wait(30)
        try:
            with self.context.wrap_socket(connection, server_side=True) as wire:
                stream = wire.makefile("rwb")
                while self.one_request(stream):
                    pass
        except OSError:
            pass

    def one_request(self, stream):
        line = stream.readline()
        if not line:
            return False
        headers = {}
        while (header := stream.readline().strip()):
            name, value = header.decode().split(":", 1)
            headers[name.lower()] = value.strip()
        wanted = int(headers["content-length"])
        body = stream.read(wanted)
        if len(body) < wanted:
            self.incomplete = len(body)
            return False
        self.requests.append((line.decode().split()[1], headers, body))
        answer = self.answers.pop(0) if self.answers else None
        if answer is DROP:
            return False
        status, extra, text = answer or (
            200, {}, json.dumps({"id": f"provider-{len(self.requests)}"}))
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(text)}"]
        lines += [f"{name}: {value}" for name, value in extra.items()]
        stream.write("\r\n".join(lines).encode() + b"\r\n\r\n" + text.encode())
        stream.flush()
        return True

    def close(self):
        self.listener.close()


def relay(provider, *arguments, key=KEY, authority="good"):
    return Relay("--https", provider.url, "--connections", "1", "--ca-file",
                 certificate(authority)[0], *arguments,
                 environment={"RESEND_API_KEY": key})


def error(status, name):
    return (status, {},
            json.dumps({"statusCode": status, "name": name,
                        "message": f"about {name}"}))


@case("S1.3 S1.16: a provider gets the mail as JSON, with key and idempotency key")
def shape():
    provider = serving(Provider())
    names = ["Zoë", 'Quo"te \\ back', "李小龍"]
    messages = {invite(name)[1]: name for name in names}
    done = relay(provider, "--once")
    equal(done.wait(), 0, "exit code")
    equal((len(provider.requests), provider.connections), (3, 1), "requests")
    for path, headers, body in provider.requests:
        message = headers["idempotency-key"]
        mail = json.loads(body)
        equal(path, "/emails", "path")
        equal(headers["authorization"], f"Bearer {KEY}", "authorization")
        equal(headers["content-type"], "application/json", "type")
        check("expect" not in headers, "Expect")
        equal(set(mail), {"from", "to", "subject", "text", "html", "headers"},
              "fields")
        equal(mail["from"], '"Relay Test" <no-reply@localhost>', "from")
        row = queue(f"message_id = '{message}'")[0]
        name = messages[message].replace("\\", "\\\\").replace('"', '\\"')
        equal(mail["to"], [f'"{name}" <{row["recipient"]}>'], "to")
        equal(mail["headers"]["Message-ID"], f"<{message}@localhost>", "id")
        check("accept-invitation?token=" in mail["text"], "no link")
        equal(row["state"], "sent", "state")
        check(row["reply"].startswith("HTTP 200 provider-"), row["reply"])
    check(KEY not in done.log(), "the key is in the log")


@case("F2 F3: each status of a provider has its outcome")
def statuses():
    table = {
        (400, "validation_error"): ("dead", 0),
        (422, "validation_error"): ("dead", 0),
        (409, "invalid_idempotent_request"): ("dead", 0),
        (409, "concurrent_idempotent_requests"): ("later", 0),
        (408, "request_timeout"): ("later", 0),
        (425, "too_early"): ("later", 0),
        (500, "application_error"): ("later", 0),
        (503, "maintenance"): ("later", 0),
        (401, "missing_api_key"): ("queued", 111),
        (403, "invalid_api_key"): ("queued", 111),
        (404, "not_found"): ("queued", 111),
        (429, "rate_limit_exceeded"): ("queued", 111),
        (422, "invalid_from_address"): ("queued", 111),
        (302, "moved"): ("queued", 111),
    }
    for (status, name), (outcome, code) in table.items():
        provider = serving(Provider(error(status, name)))
        message = invite()[1]
        done = relay(provider, "--once")
        equal(done.wait(), code, f"exit code of {status} {name}")
        row = queue(f"message_id = '{message}'")[0]
        attempts = 0 if outcome == "queued" else 1
        if outcome == "later" and row["state"] == "sent":
            attempts = 2        # its random delay was 0
        equal((row["state"] in (outcome, "queued", "sent"), row["attempts"]),
              (True, attempts), f"after {status} {name}: {row}")
        if outcome == "dead":
            equal(row["state"], "dead", f"after {status} {name}")
            continue
        retry(message)
        equal(relay(provider, "--once").wait(), 0, "exit code")
        equal(state(message), "sent", f"in the end after {status} {name}")
        ids = {headers["idempotency-key"]
               for _, headers, _ in provider.requests}
        equal(ids, {message}, "keys")
    return f"{len(table)} of {len(table)}"


@case("F2: a provider's Retry-After is obeyed, and no mail pays")
def retry_after():
    provider = serving(Provider(
        (429, {"Retry-After": "3"}, "{}")))
    message = invite()[1]
    now = relay(provider)
    wait_for(lambda: re.search(r"paused for 3\.0 s", now.log()))
    took = wait_for(lambda: state(message) == "sent", 6)
    check(took > 2.5, f"{took} s")
    equal(queue(f"message_id = '{message}'")[0]["attempts"], 1, "attempts")
    return f"sent {took:.1f} s later"


@case("R24: a redirect is never followed, so the key goes nowhere else")
def redirect():
    thief = serving(Provider())
    provider = serving(Provider((307, {"Location": thief.url}, "")))
    invite()
    equal(relay(provider, "--once").wait(), 111, "exit code")
    equal((len(provider.requests), thief.connections), (1, 0), "requests")


@case("F7: a request without an answer is repeated with the same key")
def in_doubt():
    provider = serving(Provider(DROP))
    message = invite()[1]
    done = relay(provider, "--once")
    done.wait()
    check('outcome=later reply="in doubt' in done.log(), done.log())
    retry(message)
    relay(provider, "--once").wait()
    equal(state(message), "sent", "state")
    equal([headers["idempotency-key"] for _, headers, _ in provider.requests],
          [message, message], "keys")
    equal(provider.requests[0][2], provider.requests[1][2], "bodies")


@case("D23: revoked before the request ends: the provider never gets all of it")
def revoked():
    hold = Hold()
    provider = serving(Provider(before=hold))
    invitation, message = invite()
    now = relay(provider)
    check(hold.reached.wait(10), "no connection")
    revoke(invitation)
    hold.released.set()
    wait_for(lambda: "outcome=cancelled" in now.log())
    wait_for(lambda: provider.incomplete)
    equal((provider.requests, state(message)), ([], "cancelled"), "after")
    return f"{provider.incomplete} octets, 0 complete requests"


@case("R24: a provider with a wrong certificate gets neither key nor mail")
def wrong_certificates():
    contexts = {
        "unknown authority": (tls("unknown"), "good"),
        "wrong name": (tls("wrong", subject="DNS:other.example"), "wrong"),
        "expired": (tls("old", days="-1"), "old"),
    }
    for name, (context, authority) in contexts.items():
        provider = serving(Provider(context=context))
        message = invite()[1]
        equal(relay(provider, "--once", authority=authority).wait(), 111, name)
        equal((provider.requests, state(message)), ([], "queued"), name)
        psql("SELECT usermgmt.outbox_cancel(:'id')", id=message)
    return f"0 requests to {len(contexts)} servers"


@case("R24: a provider's key is read from a file that only its owner may read")
def key_file():
    provider = serving(Provider())
    invite()
    path = password_file(KEY)
    done = Relay("--https", provider.url, "--once", "--https-key-file", path,
                 "--ca-file", certificate("good")[0])
    equal(done.wait(), 0, "exit code")
    equal(provider.requests[0][1]["authorization"], f"Bearer {KEY}", "key")
    os.chmod(path, 0o644)
    done = Relay("--https", provider.url, "--once", "--https-key-file", path)
    equal(done.wait(), 111, "exit code")
