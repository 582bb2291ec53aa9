"""What every relay test needs: TAP, psql, the queue, and the relay itself."""
import glob
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback

RELAY = os.environ.get("RELAY", "usermgmt-relay")
TENANT = "relay-test"
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), "")
WORK = tempfile.mkdtemp(prefix="relay-test.")


def unprivileged():
    """For subprocess: root runs nothing as root that need not be."""
    if os.getuid() != 0 or not os.environ.get("PGDATA"):
        return {}
    owner = os.stat(os.environ["PGDATA"])
    return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}


UNPRIVILEGED = unprivileged()
if UNPRIVILEGED:
    os.chown(WORK, UNPRIVILEGED["user"], UNPRIVILEGED["group"])

cases = []


class Skip(Exception):
    """This case cannot run here; the text says why."""


def case(description):
    """Registers a test; its description begins with the promise's number."""
    def register(function):
        cases.append((description, function))
        return function
    return register


def run_cases(modules, patterns):
    """Runs the cases of these modules that a pattern, if any, chooses."""
    chosen = [(description, function) for description, function in cases
              if function.__module__ in modules
              and (not patterns
                   or any(pattern in description for pattern in patterns))]
    print(f"1..{len(chosen)}", flush=True)
    failed = 0
    for number, (description, function) in enumerate(chosen, 1):
        started = time.monotonic()
        try:
            calm_down()
            figure = function()
            text = f"ok {number} - {description}"
            if figure:
                text += f": {figure}"
                if os.environ.get("RELAY_SOAK"):
                    say(f"{description}: {figure}")
            text += f" ({time.monotonic() - started:.1f} s)"
        except Skip as reason:
            text = f"ok {number} - {description} # SKIP {reason}"
        except Exception:  # pylint: disable=broad-except
            failed += 1
            text = f"not ok {number} - {description}\n"
            text += "".join(f"# {line}\n" for line in
                            traceback.format_exc().splitlines()).rstrip()
            for relay in Relay.running:
                text += "".join(f"\n# {line}" for line in relay.log().splitlines())
        finally:
            Relay.end_all()
            for server in servers:
                server.close()
            servers.clear()
        print(text, flush=True)
    return 1 if failed else 0


servers = []


def serving(server):
    """This server ends with the case."""
    servers.append(server)
    return server


def psql(*statements, **variables):
    """Runs statements in one session; gives the last one's text."""
    command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1"]
    for name, value in variables.items():
        command += ["-v", f"{name}={value}"]
    done = subprocess.run(command, input=";\n".join(statements) + ";\n",
                          capture_output=True, text=True, timeout=60,
                          check=False)
    if done.returncode:
        raise AssertionError(done.stderr.strip())
    lines = done.stdout.strip("\n").split("\n")
    return lines[-1]


def set_up(database=None):
    """The extension and one tenant to work in, in a new database if named."""
    if database:
        psql(f"CREATE DATABASE {database} TEMPLATE template0")
        os.environ["PGDATABASE"] = database
    if psql("SELECT count(*) FROM pg_namespace WHERE nspname = 'usermgmt'") == "0":
        psql("CREATE EXTENSION usermgmt")
    try:
        psql("SELECT usermgmt.use_tenant(:'slug')", slug=TENANT)
    except AssertionError:
        psql("SELECT usermgmt.create_tenant(slug => :'slug', name => 'Relay Test',"
             " owner_email => 'owner@example.org', owner_name => 'Örjan Öwner')",
             slug=TENANT)


def queue(condition="true"):
    """The mail queue, as dictionaries."""
    text = psql("SELECT coalesce(jsonb_agg(q), '[]')"
                f" FROM usermgmt.mail_queue q WHERE {condition}")
    return json.loads(text)


def state(message_id):
    return queue(f"message_id = '{message_id}'")[0]["state"]


def unfinished():
    return [row for row in queue()
            if row["state"] not in ("sent", "dead", "cancelled")]


def calm_down():
    """Nothing of an earlier case may be sent in this one."""
    wait_for(lambda: psql(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'usermgmt-relay'"
        " AND datname = current_database()") == "0", 10)
    if queue("state = 'sending'"):
        # Claimed and left again, it can be cancelled.
        psql("SELECT count(*) FROM usermgmt.outbox_claim('relay-test', 1000)")
    for row in unfinished():
        psql("SELECT usermgmt.outbox_cancel(:'id')", id=row["message_id"])


counter = int(time.time()) * 1000


def invite(name=None, email=None, before=""):
    """Queues one mail; gives its invitation and its message."""
    global counter
    counter += 1
    email = email or f"p{counter}@example.org"
    invitation = psql(
        *([before] if before else []),
        "SELECT usermgmt.use_tenant(:'slug')",
        "SELECT invitation_id FROM usermgmt.invite_user(email => :'email',"
        " role => 'member', name => nullif(:'name', ''))",
        slug=TENANT, email=email, name=name or "")
    message = queue(f"recipient = '{email}'")[0]["message_id"]
    return invitation, message


def invite_many(count):
    """Queues many mails in one transaction."""
    global counter
    counter += count
    psql("SELECT usermgmt.use_tenant(:'slug')",
         "SELECT count(*) FROM generate_series(1, :count) AS n, LATERAL"
         " usermgmt.invite_user(email => 'm' || (:last - n) || '@example.org')",
         slug=TENANT, count=str(count), last=str(counter))


def revoke(invitation):
    psql("SELECT usermgmt.use_tenant(:'slug')",
         "SELECT usermgmt.revoke_invitation(:'id')",
         slug=TENANT, id=invitation)


def retry(message):
    """The message is due now, whatever the last failure said."""
    if state(message) == "dead":
        psql("SELECT usermgmt.outbox_retry(:'id')", id=message)
    else:
        psql("UPDATE usermgmt.outbox SET due_at = clock_timestamp()"
             " WHERE message_id = :'id' AND state = 'queued'", id=message)


def wait_for(condition, seconds=10.0):
    """Waits until it holds; gives how long that took."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.02)
    return time.monotonic() - started


class Relay:
    """One relay process, ended with the case."""

    running = []

    def __init__(self, *arguments, environment=None):
        handle, self.path = tempfile.mkstemp(dir=WORK, suffix=".log")
        with os.fdopen(handle, "wb") as log:
            self.process = subprocess.Popen(
                [RELAY, "--verbose", *arguments], stderr=log,
                stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})}, **UNPRIVILEGED)
        Relay.running.append(self)

    @classmethod
    def plain(cls, server, *arguments, environment=None):
        """Over one connection unless the arguments say otherwise."""
        return cls("--smtp", server.url, "--tls", "none", "--connections", "1",
                   *arguments, environment=environment)

    @classmethod
    def end_all(cls):
        for relay in cls.running:
            relay.kill()
        cls.running.clear()

    def log(self):
        with open(self.path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def stop(self, seconds=15):
        """Asks it to stop; gives its exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def wait(self, seconds=15):
        return self.process.wait(seconds)

    def backend(self):
        """The process id of its database session."""
        wait_for(lambda: psql(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'usermgmt-relay'"
            " AND datname = current_database()") == "1")
        return int(psql("SELECT pid FROM pg_stat_activity"
                        " WHERE application_name = 'usermgmt-relay'"
                        " AND datname = current_database()"))


def equal(found, wanted, what):
    if found != wanted:
        raise AssertionError(f"{what}: {found!r}, not {wanted!r}")


def check(truth, what):
    if not truth:
        raise AssertionError(what)


def say(text):
    print(f"# {text}", file=sys.stdout, flush=True)
