"""P12: what a backend keeps of each call.

Caches fill and files are opened at some call or other, once for each of them;
what a call leaves behind is there again after every block of calls.
"""
import itertools
import math

from calls import calls, prepare
from data import SMALL, history
from measure import Figure, Options, report, say

USED = "SELECT name, sum(used_bytes) FROM pg_backend_memory_contexts GROUP BY name"
BLOCKS = 20


def used(connection):
    """The bytes in contexts of each name, asked twice so that asking itself is paid for."""
    connection.call(USED)
    return {name: int(number) for name, number in connection.call(USED)}


def repeat(pair, call, numbers):
    """A block of calls; how many."""
    call.begin(pair)
    count = max(20, Options.calls * min(call.per_round, 200) // 200)
    for _ in range(count):
        call.run(pair, next(numbers))
    return count


def leak(pair, call, numbers):
    """The bytes that every block of calls adds to the contexts of a name, by
    name, and the calls made. The first block without any acquits the call."""
    call.begin(pair)
    before, count = used(pair.now), 0
    least = dict.fromkeys(before, math.inf)
    for _ in range(BLOCKS):
        count += repeat(pair, call, numbers)
        after = used(pair.now)
        least = {name: more for name, bound in least.items()
                 if (more := min(bound, after.get(name, 0) - before[name])) > 0}
        if not least:
            break
        before = after
    return least, count


def resident(pair):
    return sum(connection.resident() for connection in (pair.owner, pair.person, pair.operator))


def run():
    pair = prepare(history(SMALL))
    numbers = itertools.count(1_000_000)
    for call in calls():
        repeat(pair, call, numbers)
    began = resident(pair)
    leaks, total = 0, 0
    for call in calls():
        least, count = leak(pair, call, numbers)
        total += count
        if least:
            leaks += 1
            say(f"… {call.name} keeps in each block {least}")
            report("P12", f"bytes that a call of {call.name} leaves behind",
                   Figure(sum(least.values()) * BLOCKS / count, ""), "≤ 0",
                   f"`{USED}`: what each of {BLOCKS} blocks adds, {count} calls")
    report("P12", f"of {len(calls())} functions and views, those whose calls leave memory behind",
           Figure(leaks, ""), "≤ 0", f"`{USED}`: what grows in each of {BLOCKS} blocks of calls (test/bench/calls.py); "
           f"{total} calls, after as many that fill the caches")
    report("P12", f"resident memory that {total} calls add to three backends that have made each before",
           Figure((resident(pair) - began) / 1024, "kB"), None, "/proc/PID/statm, resident less shared")
    pair.close()
