"""P12: what a backend keeps of each call.

Caches fill and files are opened at some call or other, once for each of them;
what a call leaves behind is there again after every block of calls. Each call
is made in every way of loops.py, and some by messages of their own.
"""
import collections
import os
import statistics

from calls import calls, prepare
from data import SMALL, history
from loops import FAILING, ORDERLY, Loop, Numbers
from measure import Figure, Options, psql, report, say
from outbox import CANCEL, Relay, Sink, put, wait_for_silence
from pq import SqlError, anonymous, settle

USED = "SELECT name, sum(used_bytes), count(*) FROM pg_backend_memory_contexts GROUP BY name"
LOCKS = "SELECT count(*) FROM pg_locks WHERE pid = $1"
RELAYS = 2  # locks, at most, by which a backend that claims mail is known to be alive, and idle
# What calls have piled up would slow others down.
END_SESSIONS = "SELECT usermgmt.revoke_user_sessions('{person}')"
BLOCKS = 8
MOST_SHOWN = 12
TRANSACTIONS = (0.1, 0.1, 0.8)  # of the time; what is measured within one is the last's
SLICE = 1000  # calls whose time is compared, at the beginning and the end of a transaction
MAILS, PARTS = 100_000, 5  # at most, of the relay
RELAY_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'usermgmt-relay'"
# Whatever is written fails when that many rows have been written.
FAIL_INSIDE = """
CREATE FUNCTION bench.may() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    rows_left integer := nullif(current_setting('bench.rows_left', true), '');
BEGIN
    PERFORM set_config('bench.rows_left', (rows_left - 1)::text, true) WHERE rows_left IS NOT NULL;
    RETURN coalesce(rows_left > 0, true);
END $$;
DO $$
DECLARE
    name regclass;
BEGIN
    FOR name IN SELECT oid FROM pg_class WHERE relnamespace = 'usermgmt'::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('ALTER TABLE %s ADD CONSTRAINT bench_may CHECK (bench.may()) NOT VALID', name);
    END LOOP;
END $$"""


class Kept:
    """What a backend holds: bytes by name of the context, contexts, files."""

    def __init__(self, connection):
        connection.call(USED)  # asked twice so that asking itself is paid for
        rows = connection.call(USED)
        self.used = {name: int(used) for name, used, _ in rows}
        self.used["number of contexts"] = sum(int(count) for *_, count in rows)
        self.used["open files"] = connection.files()

    def more(self, before):
        """By name, where it is more than before."""
        return collections.Counter({name: more for name, number in self.used.items()
                                    if (more := number - before.used.get(name, 0)) > 0})


def in_each(growths):
    """What is in each of them, at its least."""
    least = collections.Counter(growths[0])
    for growth in growths[1:]:
        least &= growth
    return dict(least)


class Result:  # pylint: disable=too-few-public-methods,too-many-instance-attributes
    """A call made in a way: how often, what it left, what the transaction kept."""

    def __init__(self, call, way, loop):
        self.call, self.way, self.loop = call, way, loop
        self.direct = 0
        self.growths = []  # of each block
        self.length, self.kept, self.ratio = 0, {}, None  # of the last transaction: calls, bytes of a call, last time / first
        self.last = None

    @property
    def count(self):
        return self.loop.count + self.direct

    def look(self, connection):
        now = Kept(connection)
        if self.last is not None:
            self.growths.append(now.more(self.last))
        self.last = now


class Trial:
    """A call in a way, on its backend."""

    def __init__(self, pair, call, way, numbers):
        call.begin(pair, way.how)
        self.pair, self.call, self.way, self.numbers = pair, call, way, numbers
        self.connection = pair.now
        self.loop = Loop(pair.now, call, way, call.statement(pair, way.how, "bench_n"), numbers)
        self.result = Result(call, way, self.loop)
        self.seconds = way.share * Options.seconds
        self.most = max(1, int(way.share * Options.calls))

    def made(self):
        if self.way.together:
            for share in TRANSACTIONS:
                self.transaction(share)
            while len(self.result.growths) < BLOCKS and in_each(self.result.growths):
                self.transaction(TRANSACTIONS[0])
        else:
            self.loop.run(1)
            while self.blocks_left():
                self.loop.run_for(self.seconds / BLOCKS, max(1, self.most // BLOCKS))
                self.messages(max(1, min(20, int(0.02 / self.loop.pace))))
                self.result.look(self.connection)
        return self.result

    def blocks_left(self):
        """As many blocks as planned, and some more where something has grown in each."""
        growths = self.result.growths
        return len(growths) < BLOCKS - 1 or (len(growths) < 3 * BLOCKS and in_each(growths))

    def messages(self, count):
        """Calls by a message each; an error goes to the client and ends the transaction."""
        for _ in range(count):
            if self.way.how is None:
                self.call.run(self.pair, self.numbers.first(1))
            else:
                before = self.way.before.replace("PERFORM", "SELECT").replace("bench_n", str(self.result.direct))
                self.loop.failed += self.call.fail(self.pair, self.numbers.first(1), self.way.how, before)
            self.result.direct += 1

    def cost(self, count):
        began = self.connection.processor()
        self.loop.run(count)
        settle()
        return (self.connection.processor() - began) / count

    def transaction(self, share):
        """Many calls in one: what each keeps until its end, and whether they slow down."""
        seconds, most = self.seconds * share, max(3, int(self.most * share))
        self.connection.run("BEGIN")
        self.loop.run(1)
        size = max(1, min(SLICE, most // 3, int(seconds / 5 / (self.loop.run(5) / 5))))
        first = self.cost(size)
        before, begun = Kept(self.connection), self.loop.count
        self.loop.run_for(seconds * 0.6, most - 2 * size)
        last = self.cost(size)
        result, length = self.result, self.loop.count - begun
        if length >= result.length:
            result.length, result.ratio = length, last / first
            result.kept = {name: more / length for name, more in Kept(self.connection).more(before).items() if more >= length}
        self.connection.run("ROLLBACK" if self.call.undone else "COMMIT")
        result.look(self.connection)


def tried(pair, call, way, numbers, watch):
    """What came of it, or None where it cannot be repeated so."""
    trial = Trial(pair, call, way, numbers)
    try:
        result = trial.made()
    except SqlError:
        if not call.undone or not way.together:
            raise
        trial.connection.run("ROLLBACK")  # it uses up what it is about
        return None
    least = in_each(result.growths)
    if least:
        say(f"… {call.name}, {way.name}: each block leaves {least}, {result.count} calls")
    locks = int(watch.call(LOCKS, trial.connection.pid)[0][0]) - (RELAYS if trial.connection == pair.operator else 0)
    if locks > 0:
        say(f"… {call.name}, {way.name}: {locks} locks are left")
    if way.together and result.ratio > 1.5 and result.length > 300:
        say(f"… {call.name}, {way.name}: the last of {result.length} calls took {result.ratio:.2f} times as long as the first")
    return result, bool(least), max(0, locks)


def group(name, results):
    """A line of the figures, and one of the table of ways: functions, calls; of one function the least, the median and
    the most; refused; functions that leave something."""
    counts = sorted(result.count for result, *_ in results)
    leaks = sum(leak for _, leak, _ in results)
    failed = sum(result.loop.failed for result, *_ in results)
    report("P12", f"{name}: of {len(results)} functions and views, those that leave something behind", Figure(leaks, ""), "≤ 0",
           f"`{USED}`, open files: {sum(counts)} calls, {counts[0]} to {counts[-1]} of each, {failed} refused; what grows in each block of calls (test/bench/memory.py)")
    say(f"| {name} | {len(results)} | {sum(counts):,} | {counts[0]:,} | {statistics.median_low(counts):,} | {counts[-1]:,}"
        f" | {failed:,} | {leaks} |")


def within(name, results):
    """What a transaction keeps of each call in it, until its end."""
    found = [result for result, *_ in results]
    for kind in sorted({kind for result in found for kind in result.kept}):
        those = sorted((result for result in found if kind in result.kept), key=lambda result: -result.kept[kind])
        say(f"… {name}: {kind} of {len(those)}, bytes a call: " + ", ".join(
            f"{result.call.name} {result.kept[kind]:.0f}" for result in those[:MOST_SHOWN]))
    worst = max(found, key=lambda result: result.ratio)
    lengths = sorted(result.length for result in found)
    report("P12", f"{name}: time of the last calls / the first", Figure.of([result.ratio for result in found], ""), None,
           f"processor time of up to {SLICE} calls each, {lengths[0]} to {lengths[-1]} calls in a transaction;"
           f" the most is {worst.ratio:.2f}, {worst.call.name}")


def warnings():
    """The lines of the server's log that warn."""
    with open(os.environ["SERVER_LOG"], encoding="utf-8", errors="replace") as log:
        return [line for line in log if "WARNING:" in line]


def by_calls(results):
    """The functions by how many calls they had in all."""
    count = collections.Counter()
    for result, *_ in results:
        count[result.call.name] += result.count
    for least in (1_000_000, 300_000, 100_000, 30_000, 10_000, 1):
        names = [name for name in count if count[name] >= least]
        for name in names:
            del count[name]
        if names:
            say(f"… {least:,} calls or more: {', '.join(names)}")


def phase(pair, ways, numbers, watch):
    results = {way: [] for way in ways}
    for call in calls():
        watch.run(END_SESSIONS.format(person=pair.values["person"]))
        watch.run("VACUUM")
        for way in ways:
            result = tried(pair, call, way, numbers, watch) if call.can(way.how) else None
            if result is not None:
                results[way].append(result)
    for way in ways:
        group(way.name, results[way])
        if way.together:
            within(way.name, results[way])
    return [result for way in ways for result in results[way]]


def backends():
    data = history(SMALL)
    psql(data.name, "-c", f"ALTER DATABASE {data.name} SET usermgmt.hash_memory = 19456",
         "-c", f"ALTER DATABASE {data.name} SET usermgmt.hash_passes = 2")
    before = warnings()
    pair, numbers = prepare(data), Numbers(1_000_000)
    with data.operator_connection() as watch:
        began = [connection.anonymous() for connection in pair.connections()]
        results = phase(pair, ORDERLY, numbers, watch)
        watch.run(FAIL_INSIDE)
        results += phase(pair, FAILING, numbers, watch)
    total = sum(result.count for result, *_ in results)
    by_calls(results)
    report("P12", "locks left after the transactions", Figure(sum(locks for *_, locks in results), ""), "≤ 0", f"`{LOCKS}`")
    told = warnings()[len(before):]
    for line in told[:5]:
        say(line)
    report("P12", "warnings in the server's log, as those of what leaked", Figure(len(told), ""), "≤ 0", f"{total} calls")
    report("P12", f"resident memory that {total} calls add to four backends",
           Figure((sum(c.anonymous() for c in pair.connections()) - sum(began)) / 1024, "kB"), None, "/proc/PID/status, RssAnon")
    pair.close()
    psql(data.name, "-c", f"ALTER DATABASE {data.name} RESET ALL")


def relay():
    """Whether the relay and its backends grow with the mails that they send."""
    data = history(SMALL)
    part = max(1, min(Options.calls, MAILS) // PARTS)
    with data.operator_connection() as operator, Sink("sink.py") as sink:
        operator.run(CANCEL)
        process = Relay(data.name, sink)
        readings = []
        try:
            for _ in range(PARTS):
                put(operator, part)
                wait_for_silence(operator, 900)
                backend_pids = [int(row[0]) for row in operator.run(RELAY_BACKENDS)]
                readings.append([anonymous(process.process.pid), sum(map(anonymous, backend_pids))])
        finally:
            process.stop()
    for name, sizes in zip(("the relay", "its backends"), zip(*readings)):
        report("P12", f"memory of {name} after {PARTS * part} mails, less that after {part}", Figure((sizes[-1] - sizes[0]) / 1024, "kB"), None,
               f"RssAnon in kB after each of {PARTS} parts of the mails: " + ", ".join(str(size // 1024) for size in sizes))


def run():
    backends()
    if os.path.exists(os.environ.get("RELAY", "")):
        relay()
