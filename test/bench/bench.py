"""The benchmark of usermgmt: every goal of docs/performance.md as a ratio.

usage: bench.py [NAME…] [--rows=N] [--rounds=N] [--seconds=N] [--samples=N] [--calls=N] [--peers]

It works on the cluster of PGHOST and PGPORT, which it may fill as it likes, and
keeps its files below BENCH_WORK. ./run bench makes both and takes them away.
"""
import importlib
import os
import re
import signal
import sys
import textwrap
import time

import machine
from measure import WORK, Options, Skip, psql, results, say, skip, skipped

CHECK = "--check"  # the arguments, and do nothing
BENCHES = {
    "session": "P1 reading a session, P13 the same on a standby",
    "policy": "P2 the tenant in a row-security policy",
    "invitation": "P3 inviting, P4 accepting",
    "audit": "P5 what the audit trigger adds, P11 sealing",
    "member": "P6 deactivation and revocation",
    "memory": "P12 what a call leaves behind",
    "outbox": "P7 claiming mail, P8 and P12 the relay",
    "timing": "R14 whether time tells who is known",
    "growth": "P9 growth of the history, P10 pages of lists",
    "peers": "P3 inviting beside better-auth (with --peers)",
}


def arguments():
    names = []
    for argument in sys.argv[1:]:
        if argument == CHECK:
            continue
        if argument == "--peers":
            Options.peers = True
        elif argument.startswith("--"):
            name, _, value = argument[2:].partition("=")
            if name not in ("rows", "rounds", "seconds", "samples", "calls") or not value.isdigit():
                sys.exit(f"bench: wrong option {argument}")
            setattr(Options, name, int(value))
        elif argument in BENCHES:
            names.append(argument)
        else:
            sys.exit("bench: there is no such benchmark; there are\n" + "\n".join(
                f"  {name:12} {what}" for name, what in BENCHES.items()))
    return names


def conditions():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "")
    return (f"{psql('postgres', '-c', 'SHOW server_version')} on {os.cpu_count()} cores ({model}); "
            f"load when it began {os.getloadavg()[0]:.1f}; {Options.rounds} rounds of "
            f"{Options.seconds} s, {Options.rows} rows, {Options.samples} samples, {Options.calls} calls")


def note(number, how):
    """A note below the table, on lines that can be read; none begins with what Markdown would take for a list."""
    kept = re.sub(r" (?=([-+*#>]|[0-9]+[.)]) )", "\0", how)
    return textwrap.fill(f"{number}. {kept}", 160, subsequent_indent="   ", break_long_words=False,
                         break_on_hyphens=False).replace("\0", " ")


def document(began, minutes):
    """The generated part of docs/performance.md. Lines of the table that were made alike share a note."""
    lines = [f"PostgreSQL {began}; {minutes:.0f} minutes.", f"The machine's speed: {machine.summary()}.", "",
             "| # | what | measured | goal | |", "| --- | --- | --- | --- | --- |"]
    notes = []
    for r in results:
        if not notes or notes[-1] != r.how:
            notes.append(r.how)
        lines.append(f"| {r.promise} | {r.what} <sup>{len(notes)}</sup> | {r.figure} | {r.goal or ''} | {r.verdict()} |")
    lines += [f"| {promise} | {why} | skipped | | |" for promise, why in skipped]
    lines += ["", "Made by:", ""]
    lines += [note(number, how) for number, how in enumerate(notes, 1)]
    return "\n".join(lines) + "\n"


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    names = arguments()
    if CHECK in sys.argv:
        return
    began = conditions()
    started = time.monotonic()
    psql("postgres", "-c", "CREATE ROLE bench_app LOGIN IN ROLE pg_read_all_stats")
    say(f"PostgreSQL {began}")
    for name in names or BENCHES:
        part = time.monotonic()
        machine.sample()
        try:
            importlib.import_module(name).run()
        except Skip as reason:
            skip(BENCHES[name].split()[0], str(reason))
        say(f"… {name}: {time.monotonic() - part:.0f} s")
    machine.sample()
    say(f"The machine's speed: {machine.summary()}.")
    missed = sum(result.holds is False for result in results)
    held = sum(result.holds is True for result in results)
    say(f"{held} goals hold, {missed} are missed, {len(skipped)} skipped")
    if not names:
        with open(os.path.join(WORK, "performance.md"), "w", encoding="utf-8") as file:
            file.write(document(began, (time.monotonic() - started) / 60))


if __name__ == "__main__":
    main()
