"""Ways to make many calls: loops inside the server, as blocks of PL/pgSQL.

A way says how each call ends and how the calls are put into transactions.
"""
import time

PERFORM = "PERFORM {body};"
# What fails, or is undone on purpose (UB000), is rolled back to a savepoint.
ATTEMPT = """BEGIN
    {before} PERFORM {body}; RAISE SQLSTATE 'UB000';
EXCEPTION WHEN SQLSTATE 'UB000' THEN NULL; WHEN OTHERS THEN failed := failed + 1; END;"""
RELEASED = "BEGIN PERFORM {body}; EXCEPTION WHEN SQLSTATE 'UB000' THEN NULL; END;"
LOOP = """DO $loop$ DECLARE failed bigint := 0; BEGIN
FOR bench_n IN {first}::bigint .. {last} LOOP {once} {after}
END LOOP; PERFORM set_config('bench.failed', failed::text, false); END $loop$"""
AIM = 0.1  # seconds of a block of calls, or one call
MOST = 5000  # calls of a block


class Way:  # pylint: disable=too-few-public-methods
    """How a call is repeated. In one transaction: all calls of a measurement;
    else after says what follows each (or every hundredth, of those that fail)."""

    def __init__(self, name, share, once, *, together=False, how=None, before=""):
        self.name, self.share, self.once = name, share, once
        self.together, self.how, self.before = together, how, before

    def after(self, call):
        if self.together:
            return ""
        end = "ROLLBACK;" if call.undone else "COMMIT;"
        return end if self.how is None else "IF bench_n % 100 = 0 THEN COMMIT; END IF;"


# In order; the share is of --seconds.
ORDERLY = (
    Way("a transaction each", 0.3, PERFORM),
    Way("rolled back to a savepoint each, in one transaction", 0.15, ATTEMPT, together=True),
    Way("a released savepoint each, in one transaction", 0.1, RELEASED, together=True),
    Way("one transaction", 0.2, PERFORM, together=True),
)
FAILING = (
    Way("of things that do not exist", 0.05, ATTEMPT, how="absent"),
    Way("by a member without the right", 0.05, ATTEMPT, how="member"),
    Way("in a session that has ended", 0.05, ATTEMPT, how="ended"),
    Way("a constraint fails at the 1st to 7th row that is written", 0.1, ATTEMPT, how="inside",
        before="PERFORM set_config('bench.rows_left', (bench_n % 7)::text, true);"),
)


class Loop:
    """A call repeated in a way, on a connection; calls, failed and seconds add up."""

    def __init__(self, connection, call, way, statement, numbers):
        self.connection, self.numbers = connection, numbers
        body = statement.replace("$n", "bench_n").removeprefix("SELECT ")
        once = ATTEMPT if call.refused else way.once
        self.text = LOOP.replace("{once}", once).replace("{after}", way.after(call)).replace(
            "{before}", way.before).replace("{body}", body)
        self.count, self.failed, self.pace = 0, 0, None

    def run(self, count):
        """So many calls, in one statement; the seconds they took."""
        first = self.numbers.first(count)
        began = time.monotonic()
        self.connection.run(self.text.replace("{first}", str(first)).replace("{last}", str(first + count - 1)))
        took = time.monotonic() - began
        self.failed += int(self.connection.one("SHOW bench.failed"))
        self.count += count
        self.pace = took / count
        return took

    def run_for(self, seconds, most):
        """At least one call; the calls made."""
        done, left = 0, seconds
        while done < most and (done == 0 or left > 0):
            count = 1 if self.pace is None else int(min(AIM, left) / self.pace)
            count = max(1, min(count, most - done, MOST))
            left -= self.run(count)
            done += count
        return done


class Numbers:  # pylint: disable=too-few-public-methods
    """Numbers that were never given before."""

    def __init__(self, start):
        self.next = start

    def first(self, count):
        first, self.next = self.next, self.next + count
        return first
