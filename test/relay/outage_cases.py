"""R25: what was away for long comes back, and the relay goes on by itself."""
import os
import socket
import time

from harness import (Relay, WORK, check, case, equal, invite, serving,
                     unfinished, wait_for)
from proxy import Proxy
from smtp_server import ScriptedServer

FULL = bool(os.environ.get("RELAY_SOAK"))
LENGTH = 75 if FULL else 4      # seconds; the waits stop growing long before
POLL = 1
BOUND = POLL + 5
QUIET = "SET usermgmt.notify = off"


def outage(away, back):
    """Mail is queued before, during and at the end; the seconds that it takes
    after the end of the outage."""
    messages = [invite(before=QUIET)[1]]
    away()
    started = time.monotonic()
    while time.monotonic() - started < LENGTH:
        messages.append(invite(before=QUIET)[1])
        time.sleep(LENGTH / 10)
    check(unfinished(), "nothing was queued meanwhile")
    back()
    took = wait_for(lambda: not unfinished(), 100)
    check(took <= BOUND, f"{took:.1f} s, and {BOUND} s were promised")
    return took, messages


def all_once(server, messages):
    ids = [name[1:37] for name in server.message_ids()]
    equal(sorted(ids), sorted(messages), "Message-IDs")


@case("R25: after an outage of the mail server the backlog goes on by itself")
def mail_server_away():
    """Refused connections, then a host that swallows all, then a 421."""
    waits = []
    for kind in ("refused", "silent", "421"):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        servers = [serving(ScriptedServer(port=port))]
        relay = Relay.plain(servers[0], "--poll-interval", str(POLL),
                            "--connect-timeout", "2")
        first = invite()[1]
        wait_for(lambda: not unfinished())

        def away():
            if kind == "421":
                servers[0].script["connect"] = b"421 4.3.2 not now\r\n"
                for connection in servers[0].open:
                    connection.shutdown(socket.SHUT_RDWR)
            else:
                servers[0].close()
            if kind == "silent":
                listener = socket.socket()
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", port))
                listener.listen(100)
                servers.append(serving(listener))

        def back():
            if kind == "421":
                servers[0].script.clear()
                return
            servers[-1].close()
            servers.append(serving(ScriptedServer(port=port)))

        took, messages = outage(away, back)
        waits.append(f"{kind} {took:.1f} s")
        relay.kill()
        sent = servers[0].messages + servers[-1].messages * (kind != "421")
        equal(len(sent), len(messages) + 1, f"mails, with {first}")
    return f"away for {LENGTH} s, done after: " + ", ".join(waits)


@case("R25: after a cut of the network to the database, NOTIFY off, likewise")
def database_away():
    waits = []
    for kind in ("refused", "held"):
        proxy = serving(Proxy())
        server = serving(ScriptedServer())
        relay = Relay.plain(server, "--poll-interval", str(POLL), "-d",
                            f"host={WORK} port=5432")
        relay.backend()

        def away():
            if kind == "refused":
                proxy.refuse()
            else:
                proxy.open.clear()

        def back():
            proxy.refusing = False
            proxy.open.set()

        took, messages = outage(away, back)
        waits.append(f"{kind} {took:.1f} s")
        relay.kill()
        all_once(server, messages)
        proxy.close()
    return f"away for {LENGTH} s, done after: " + ", ".join(waits)
