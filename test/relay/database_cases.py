"""The database goes away and comes back."""
import os
import shutil
import subprocess
import tempfile
import time

from harness import (FAKETIME, Relay, Skip, case, check, equal, invite, psql, serving,
                     state, wait_for)
from smtp_server import Hold, ScriptedServer


def restart(mode, environment=None):
    """Restarts PGDATA's cluster as the directory's owner."""
    data = os.environ.get("PGDATA")
    if not data:
        raise Skip("PGDATA is not set")
    bindir = subprocess.run(["pg_config", "--bindir"], capture_output=True,
                            text=True, check=True).stdout.strip()
    command = [os.path.join(bindir, "pg_ctl"), "-D", data, "-m", mode, "-w",
               "-l", os.path.join(data, "relay-test.log"), "restart"]
    command = ["env", *(f"{name}={value}"
                        for name, value in (environment or {}).items()),
               *command]
    owner = os.stat(data)
    if os.getuid() != owner.st_uid:
        command = ["setpriv", f"--reuid={owner.st_uid}",
                   f"--regid={owner.st_gid}", "--clear-groups", *command]
    subprocess.run(command, check=True, timeout=60, cwd="/",
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@case("F10 R25: after a database restart the relay goes on by itself")
def database_restart():
    server = serving(ScriptedServer())
    relay = Relay.plain(server)
    relay.backend()
    waits = []
    for mode in ("fast", "immediate"):
        restart(mode)
        message = invite()[1]
        waits.append(wait_for(lambda: state(message) == "sent", 10))
    equal(len(server.messages), 2, "mails")
    return "resumed after " + ", ".join(f"{wait:.1f} s" for wait in waits)


@case("F11: the database crashes during DATA: no dot without a record")
def stopped_in_data():
    if not os.environ.get("PGDATA"):
        raise Skip("PGDATA is not set")
    hold = Hold()
    server = serving(ScriptedServer({"data": [hold]}))
    message = invite()[1]
    relay = Relay.plain(server)
    check(hold.reached.wait(10), "no DATA")
    restart("immediate")
    hold.released.set()
    wait_for(lambda: "outcome=abandoned" in relay.log())
    wait_for(lambda: state(message) == "sent", 15)
    equal((server.dots, len(server.messages)), (1, 1), "dots and mails")


@case("F17: a clock that jumps by a day at the database sends nothing twice")
def database_clock():
    if not os.environ.get("PGDATA") or not os.path.exists(FAKETIME):
        raise Skip("PGDATA is not set, or there is no libfaketime")
    directory = tempfile.mkdtemp()
    clock = os.path.join(directory, "clock")

    def jump(offset):
        with open(clock, "w", encoding="utf-8") as file:
            file.write(offset + "\n")

    jump("+0")
    os.chmod(directory, 0o755)
    restart("fast", {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": clock,
                     "FAKETIME_NO_CACHE": "1",
                     "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    try:
        for offset in ("+1d", "-1d"):
            hold = Hold()
            server = serving(ScriptedServer({"data": [hold]}))
            message = invite()[1]
            first = Relay.plain(server)
            check(hold.reached.wait(10), "no DATA")
            jump(offset)
            seen = psql("SELECT abs(extract(epoch FROM clock_timestamp())"
                        f" - {time.time()}) > 80000")
            equal(seen, "t", "the server's clock has jumped")
            second = Relay.plain(server, "--poll-interval", "0.2")
            time.sleep(1)
            equal(state(message), "claimed", "state")
            hold.released.set()
            wait_for(lambda m=message: state(m) == "sent")
            equal((server.dots, len(server.messages)), (1, 1), "mails")
            first.kill()
            second.kill()
            jump("+0")
    finally:
        restart("fast")
        shutil.rmtree(directory)
