"""P12: what a backend keeps of each call."""
import itertools

from calls import calls, prepare
from data import SMALL, history
from measure import Figure, Options, report, say

# Counters that wait for a second at most to be reported are not kept.
USED = "SELECT sum(used_bytes) FROM pg_backend_memory_contexts WHERE name <> 'PgStat Pending'"


def used(connection):
    """Of all contexts, asked twice so that asking itself is paid for."""
    connection.call(USED)
    return int(connection.call(USED)[0][0])


def growth(pair, call, numbers, count):
    for _ in range(count):
        call.run(pair, next(numbers))
    began = used(pair.now)
    for _ in range(count):
        call.run(pair, next(numbers))
    return used(pair.now) - began


def run():
    data = history(SMALL)
    grown = {}
    total = 0
    pair = prepare(data)
    numbers = itertools.count(1_000_000)
    resident = {}
    for number, call in enumerate(calls()):
        call.begin(pair)
        count = max(20, Options.calls * min(call.per_round, 200) // 200)
        bytes_more = growth(pair, call, numbers, count)
        if bytes_more > 0:  # caches fill once: what grows, grows again
            bytes_more = growth(pair, call, numbers, count)
        total += 2 * count
        if bytes_more > 0:
            grown[call.name] = bytes_more / count
            say(f"… {call.name} keeps {bytes_more} bytes of {count} calls")
        if number == len(calls()) // 2:
            resident = {c: c.resident() for c in (pair.owner, pair.person, pair.operator)}
    for name, each in grown.items():
        report("P12", f"bytes that a call of {name} leaves behind", Figure(each, ""), "≤ 0",
               f"`{USED}` before and after repetitions (test/bench/calls.py)")
    report("P12", f"of {len(calls())} functions and views, those whose calls leave memory behind",
           Figure(len(grown), ""), "≤ 0", f"the same, {total} calls in all")
    more = sum(connection.resident() - before for connection, before in resident.items())
    report("P12", "resident memory of the three backends in the second half of these calls",
           Figure(more / 1024, "kB"), None, "/proc/PID/statm, resident less shared")
    pair.close()
