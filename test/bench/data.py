"""The data that is measured on: databases with a history, and tokens in them."""
import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor

from measure import psql, say
from pq import Connection

ROOT = __file__.rsplit("/", 1)[0]
SMALL = 10_000
TOKENS = 20
SEAL = "DO $$ BEGIN WHILE usermgmt.audit_seal() > 0 LOOP COMMIT; END LOOP; END $$"

_made = {}


class History:
    """A database with a tenant acme and its history; see data.sql and
    history.sql."""

    def __init__(self, name, rows):
        self.name, self.rows, self.people = name, rows, rows // 10
        say(f"… making {rows} rows of history in {name}")
        psql("postgres", "-c", f"CREATE DATABASE {name} TEMPLATE template0")
        psql(name, "-v", f"rows={rows}", "-f", f"{ROOT}/data.sql")
        with ThreadPoolExecutor() as side_by_side:
            list(side_by_side.map(self._fill, ("audit_event", "outbox", "invitation", "session")))
        psql(name, "-c", SEAL, "-c", "VACUUM (FREEZE, ANALYZE)", "-c", "CHECKPOINT")
        with Connection(name) as operator:
            self.tenant = operator.one("SELECT tenant_id FROM usermgmt.tenant")
            operator.run("SELECT usermgmt.use_tenant('acme')")
            self.owner = operator.one(
                "SELECT user_id FROM usermgmt.membership WHERE is_primary_owner")
            self.owner_token = operator.one(
                f"SELECT session_token FROM usermgmt.start_session('{self.owner}')")
            if self.owner_token is None:
                raise RuntimeError("the owner cannot sign in")
            self.sessions = [self._open(operator, rows // TOKENS * n // 50 * 50 or 50)
                             for n in range(1, TOKENS + 1)]

    def _fill(self, table):
        psql(self.name, "-v", f"rows={self.rows}", "-v", f"table={table}", "-f", f"{ROOT}/history.sql")

    def _open(self, operator, number):
        """A token for the number-th session, as token.c makes them."""
        secret = hashlib.sha256(b"secret %d" % number).digest()
        digest = hashlib.blake2b(secret, digest_size=32).hexdigest()
        operator.run(f"UPDATE usermgmt.session SET token_hash = '\\x{digest}', last_used_at = now()"
                     f" WHERE session_id = bench.id(2, {number})")
        session_id = operator.one(f"SELECT bench.id(2, {number})")
        token = base64.urlsafe_b64encode(
            b"\1" + bytes.fromhex(self.tenant.replace("-", "")
                                  + session_id.replace("-", "")) + secret)
        return {"id": session_id, "hash": f"\\x{digest}",
                "token": "ums_" + token.decode().rstrip("=")}

    def owner_connection(self, **settings):
        """A connection of the application in which the owner is at work."""
        connection = Connection(self.name, "bench_app", **settings)
        connection.run(f"SELECT usermgmt.use_session('{self.owner_token}', 'connection')")
        return connection

    def ended_connection(self, operator, **settings):
        """A connection in which a session was at work that is revoked."""
        session, token = operator.run(f"SELECT session_id, session_token FROM usermgmt.start_session('{self.owner}')")[0]
        connection = Connection(self.name, "bench_app", **settings)
        connection.run(f"SELECT usermgmt.use_session('{token}', 'connection')")
        operator.run(f"SELECT usermgmt.revoke_session('{session}')")
        return connection

    def operator_connection(self, **settings):
        connection = Connection(self.name, **settings)
        connection.run("SELECT usermgmt.use_tenant('acme')")
        return connection


def history(rows, kind="used"):
    """The database of this kind with that many rows of history, made at first use."""
    name = f"bench_{kind}_{rows}"
    if name not in _made:
        _made[name] = History(name, rows)
    return _made[name]
