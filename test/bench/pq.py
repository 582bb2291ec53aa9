"""A connection by libpq, and the processor time of its backend.

libpq comes with every PostgreSQL client, so the benchmark needs no driver.
"""
import ctypes
import os
import time

libpq = ctypes.CDLL("libpq.so.5")
for name, result in (("PQconnectdb", ctypes.c_void_p), ("PQexec", ctypes.c_void_p),
                     ("PQprepare", ctypes.c_void_p), ("PQexecPrepared", ctypes.c_void_p),
                     ("PQgetvalue", ctypes.c_char_p), ("PQerrorMessage", ctypes.c_char_p),
                     ("PQresultErrorField", ctypes.c_char_p)):
    getattr(libpq, name).restype = result
for name in ("PQstatus", "PQbackendPID", "PQfinish", "PQerrorMessage"):
    getattr(libpq, name).argtypes = [ctypes.c_void_p]
for name in ("PQresultStatus", "PQntuples", "PQnfields", "PQclear"):
    getattr(libpq, name).argtypes = [ctypes.c_void_p]
for name in ("PQgetvalue", "PQgetisnull"):
    getattr(libpq, name).argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
libpq.PQresultErrorField.argtypes = [ctypes.c_void_p, ctypes.c_int]
libpq.PQexec.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
libpq.PQprepare.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p,
                            ctypes.c_int, ctypes.c_void_p]
libpq.PQexecPrepared.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int,
                                 ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p,
                                 ctypes.c_int]
COMMAND_OK, TUPLES_OK = 1, 2


class SqlError(RuntimeError):
    """A statement failed; state is its SQLSTATE, empty if the connection did."""

    def __init__(self, message, state):
        super().__init__(message)
        self.state = state


class Connection:
    """One backend. Settings are given as the options of a connection string."""

    def __init__(self, database, user="postgres", **settings):
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self.handle = libpq.PQconnectdb(
            f"dbname={database} user={user} options='{options}'".encode())
        if libpq.PQstatus(self.handle) != 0:
            raise RuntimeError(libpq.PQerrorMessage(self.handle).decode())
        self.pid = libpq.PQbackendPID(self.handle)
        self.prepared = {}
        self.run("SET client_min_messages = error")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        libpq.PQfinish(self.handle)

    def _take(self, result):
        if libpq.PQresultStatus(result) not in (COMMAND_OK, TUPLES_OK):
            state = (libpq.PQresultErrorField(result, ord("C")) or b"").decode(errors="replace")
            libpq.PQclear(result)
            raise SqlError(libpq.PQerrorMessage(self.handle).decode(errors="replace"), state)
        rows = [[None if libpq.PQgetisnull(result, row, column)
                 else libpq.PQgetvalue(result, row, column).decode(errors="replace")
                 for column in range(libpq.PQnfields(result))]
                for row in range(libpq.PQntuples(result))]
        libpq.PQclear(result)
        return rows

    def run(self, sql):
        """The rows of the last statement of this text."""
        return self._take(libpq.PQexec(self.handle, sql.encode()))

    def one(self, sql):
        return self.run(sql)[0][0]

    def call(self, sql, *values):
        """Run a prepared statement ($1, $2, …), preparing it the first time."""
        if sql not in self.prepared:
            key = b"s%d" % len(self.prepared)
            self._take(libpq.PQprepare(self.handle, key, sql.encode(), 0, None))
            self.prepared[sql] = key
        array = (ctypes.c_char_p * len(values))(
            *(None if value is None else str(value).encode() for value in values))
        return self._take(libpq.PQexecPrepared(
            self.handle, self.prepared[sql], len(values), array, None, None, 0))

    def processor(self):
        """Nanoseconds that the backend has been on a processor."""
        with open(f"/proc/{self.pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0])

    def anonymous(self):
        return anonymous(self.pid)

    def files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cost(self, count, act):
        """Microseconds of processor time per call of act(n), n below count."""
        began = self.processor()
        for n in range(count):
            act(n)
        settle()
        return (self.processor() - began) / count / 1000


def settle():
    """Lets a backend that has answered go to sleep, so that its time is booked."""
    time.sleep(0.0003)


def anonymous(pid):
    """Bytes of resident memory of a process that are no file's and shared with nobody."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) * 1024
