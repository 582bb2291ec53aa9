"""F15: the database's disk is full."""
import os
import signal
import subprocess

from harness import (Relay, TENANT, case, check, equal, invite, psql, queue,
                     serving, unfinished, wait_for)
from small_cluster import SmallCluster
from smtp_server import ScriptedServer

ROUND = """BEGIN;
SELECT FROM usermgmt.invite_user('kept-{n}@example.org');
SAVEPOINT s;
SELECT FROM usermgmt.invite_user('undone-{n}@example.org');
ROLLBACK TO s;
COMMIT;
\\echo kept-{n}@example.org
BEGIN;
SELECT FROM usermgmt.invite_user('undone-{n}-b@example.org');
ROLLBACK;
"""

# Each half of an invitation, its mail or its event, that is alone.
HALVES = """
SELECT (SELECT count(*) FROM usermgmt.invitation AS i
		WHERE (SELECT count(*) FROM usermgmt.outbox AS o
				WHERE o.subject_id = i.invitation_id) <> 1
			OR (SELECT count(*) FROM usermgmt.audit_event AS e
				WHERE e.object_id = i.invitation_id::text) <> 1)
	+ (SELECT count(*) FROM usermgmt.outbox AS o WHERE kind = 'invitation'
		AND NOT EXISTS (SELECT FROM usermgmt.invitation AS i
			WHERE o.subject_id = i.invitation_id))
	+ (SELECT count(*) FROM usermgmt.invitation WHERE email LIKE 'undone%')
"""


class Client:
    """A psql that invites until the server fails it, and its ledger."""

    def __init__(self, cluster, name):
        path = os.path.join(cluster.home, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"SELECT usermgmt.use_tenant('{TENANT}');\n")
            for number in range(20000):
                file.write(ROUND.format(n=f"{name}-{number}"))
        self.ledger = path + ".out"
        with open(self.ledger, "wb") as out:
            self.process = subprocess.Popen(
                ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-v",
                 "VERBOSITY=sqlstate", "-f", path],
                stdout=out, stderr=subprocess.PIPE, text=True)

    def kept(self):
        """The addresses whose commit was acknowledged."""
        with open(self.ledger, encoding="ascii") as file:
            return {line.strip() for line in file if line.startswith("kept-")}

    def end(self):
        """Gives what stopped it."""
        return self.process.communicate(timeout=60)[1]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def check_halves(clients):
    """What was acknowledged is there, and nothing by half; how many that is."""
    kept = set().union(*(client.kept() for client in clients))
    there = set(psql("SELECT coalesce(string_agg(email, ' '), '')"
                     " FROM usermgmt.invitation").split())
    equal(kept - there, set(), "acknowledged and lost")
    there = {address for address in there if address.startswith("kept-")}
    check(len(there - kept) <= len(clients), "more there than were in doubt")
    equal(psql(HALVES), "0", "halves")
    equal(psql("SELECT coalesce(string_agg(f::text, ' '), '') FROM"
               " usermgmt.check() AS f WHERE severity = 'error'"), "",
          "check()")
    return len(kept)


def sent_once(server, explained):
    """The relay ends the backlog by itself; gives how long that took."""
    took = wait_for(lambda: not unfinished(), 20)
    equal(queue("state <> 'sent'"), [], "not sent")
    ids = server.message_ids()
    equal(set(row["message_id"] for row in queue())
          - set(name[1:37] for name in ids), set(), "lost")
    check(len(ids) - len(set(ids)) <= explained, "unexplained duplicates")
    return took


@case("F15 R18 R25: WAL on a full disk: PANIC, no start, then nothing by half")
def wal_full():
    cluster = serving(SmallCluster())
    server = serving(ScriptedServer())
    relay = Relay.plain(server, "--poll-interval", "1")
    clients = [serving(Client(cluster, name)) for name in ("ann", "ben")]
    wait_for(lambda: all(len(client.kept()) > 20 for client in clients), 20)
    cluster.wal_disk.fill()
    for client in clients:
        client.end()
    wait_for(lambda: not cluster.runs(), 20)
    check("PANIC:  could not write to file" in cluster.log()
          and "No space left on device" in cluster.log(), cluster.log())
    equal(cluster.start(), False, "started without space")
    equal(relay.process.poll(), None, "the relay ended")

    relay.signal(signal.SIGSTOP)
    cluster.wal_disk.empty()
    check(cluster.start(), cluster.log())
    kept = check_halves(clients)
    explained = len(queue("state = 'sending'"))
    relay.signal(signal.SIGCONT)
    took = sent_once(server, explained)
    return (f"0 lost, 0 halves of {kept} committed; the relay was done"
            f" {took:.1f} s after the start")


@case("F15 R18 R25: data on a full disk: 53100, nothing by half, mail goes on")
def data_full():
    cluster = serving(SmallCluster())
    server = serving(ScriptedServer())
    relay = Relay.plain(server, "--poll-interval", "1")
    clients = [serving(Client(cluster, name)) for name in ("ann", "ben")]
    wait_for(lambda: all(len(client.kept()) > 20 for client in clients), 20)
    cluster.data_disk.fill()
    for client in clients:
        check("53100" in client.end(), "another error")
    before = psql("SELECT count(*) FROM usermgmt.invitation")
    try:
        psql("SELECT usermgmt.use_tenant(:'slug')",
             "SELECT count(*) FROM usermgmt.invite_users((SELECT array_agg("
             "'many' || n || '@example.org') FROM generate_series(1, 9999)"
             " AS n))", slug=TENANT, VERBOSITY="sqlstate")
        raise ValueError("10,000 invitations fit")
    except AssertionError as refused:
        check("53100" in str(refused), refused)
    equal(psql("SELECT count(*) FROM usermgmt.invitation"), before, "of 9,999")
    check(cluster.runs() and "PANIC" not in cluster.log(), cluster.log())
    kept = check_halves(clients)
    explained = len(queue("state = 'sending'"))
    cluster.data_disk.empty()
    invite()
    took = sent_once(server, explained)
    equal(check_halves(clients), kept, "kept, later")
    return (f"0 lost, 0 halves of {kept} committed; the relay was done"
            f" {took:.1f} s after there was space")
