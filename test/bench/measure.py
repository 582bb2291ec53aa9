"""Rounds in turn, ratios with their spread, and what is printed of them."""
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

WORK = os.environ.get("BENCH_WORK", tempfile.gettempdir())
results = []
skipped = []


class Skip(Exception):
    """This cannot be measured here; the text says why."""


class Options:  # pylint: disable=too-few-public-methods
    """How much is done; set by the command line."""
    rounds = 5
    seconds = 1.0
    rows = 1_000_000
    samples = 300
    calls = 2000
    peers = False


def say(text):
    print(text, flush=True)


def in_turn(rounds, variants):
    """Call each of {name: function} once per round; the figures by name. The
    order is drawn by lot, the same lots each time, and the next round runs it
    backwards: none always follows the same, and none more often itself, whose
    caches are warm."""
    figures = {name: [] for name in variants}
    order, lots = list(variants), random.Random(1)
    for number in range(rounds):
        if number % 2 == 0:
            lots.shuffle(order)
        for name in order if number % 2 == 0 else order[::-1]:
            figures[name].append(variants[name]())
    return figures


class Ratio:
    """The median of a list over the median of another, round by round, and
    the middle half of those ratios."""

    def __init__(self, above, below):
        ratios = [a / b for a, b in zip(above, below)]
        self.value = statistics.median(ratios)
        self.low, _, self.high = (statistics.quantiles(ratios, n=4, method="inclusive")
                                  if len(ratios) > 1 else ratios * 3)

    def __str__(self):
        return f"{self.value:.2f} ({self.low:.2f}–{self.high:.2f})"


class Figure:
    """A plain number with its unit, where a goal is not a ratio."""

    def __init__(self, value, unit, low=None, high=None):
        self.value, self.unit, self.low, self.high = value, unit, low, high

    @classmethod
    def of(cls, values, unit):
        low, _, high = (statistics.quantiles(values, n=4, method="inclusive")
                        if len(values) > 1 else values * 3)
        return cls(statistics.median(values), unit, low, high)

    def __str__(self):
        spread = "" if self.low is None else f" ({self.low:.4g}–{self.high:.4g})"
        return f"{self.value:.4g}{spread} {self.unit}".rstrip()


class Result:  # pylint: disable=too-few-public-methods
    """One line of the table."""

    def __init__(self, promise, what, figure, goal, how):
        self.promise, self.what, self.figure, self.how = promise, what, figure, how
        self.goal, self.holds = goal, None
        if goal is not None:
            sign, limit = goal.split()
            self.holds = (figure.value >= float(limit) if sign == "≥"
                          else figure.value <= float(limit))

    def verdict(self):
        return {None: "", True: "holds", False: "MISSES"}[self.holds]


def report(promise, what, figure, goal, how):
    """Add a line to the table. The goal is "≥ number", "≤ number" or None; how
    is the command or statement behind the figure."""
    result = Result(promise, what, figure, goal, how)
    results.append(result)
    say(f"{promise:4} {what:66} {str(figure):>26}  {goal or '':8} {result.verdict()}")


def skip(promise, why):
    skipped.append((promise, why))
    say(f"{promise:4} skipped: {why}")


class Pgbench:
    """Scripts for pgbench, run in turn with the same arguments."""

    def __init__(self, database, clients=1, user="postgres", **settings):
        self.database, self.clients, self.user = database, clients, user
        self.settings, self.variables = settings, {}
        self.port = os.environ["PGPORT"]

    def command(self, files, *more):
        return ["pgbench", "-n", "-M", "prepared", "-c", str(self.clients),
                "-j", str(min(self.clients, 2)), "-p", self.port, "-U", self.user, *more,
                *(f"-D{name}={value}" for name, value in self.variables.items()),
                *(part for file in files for part in ("-f", file)), self.database]

    def run(self, files, *more):
        environment = dict(os.environ, PGOPTIONS=" ".join(
            f"-c {name}={value}" for name, value in self.settings.items()))
        done = subprocess.run(self.command(files, *more), env=environment,
                              capture_output=True, text=True, check=False, cwd=WORK)
        if done.returncode != 0 or "tps = " not in done.stdout:
            sys.exit(f"pgbench failed: {done.stdout}{done.stderr}")
        return done.stdout

    def rate(self, script, transactions=None, seconds=None):
        """Transactions per second of this script, each client doing so many of
        them, or as many as fit into the time."""
        length = (["-t", str(transactions)] if transactions
                  else ["-T", str(max(1, round(seconds or Options.seconds)))])
        output = self.run([script_file(script)], *length)
        return float(output.split("tps = ")[1].split()[0])

    def shown(self, script, length=None):
        length = length or f"-T {max(1, round(Options.seconds))}"
        return f"`pgbench -n -M prepared -c {self.clients} {length}`: `{one_line(script)}`"


def script_file(text):
    path = os.path.join(WORK, f"script{abs(hash(text))}.sql")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def one_line(text):
    """A statement as the table of commands shows it."""
    words = " ".join(text.split()).replace("|", "\\|")
    return words if len(words) <= 300 else words[:297] + "…"


def welch(one, other):
    """Welch's t of two samples."""
    spread = (statistics.variance(one) / len(one)
              + statistics.variance(other) / len(other))
    return abs(statistics.mean(one) - statistics.mean(other)) / math.sqrt(spread)


def psql(database, *arguments, text=None):
    """psql, quietly; its output. It ends the benchmark when it fails."""
    done = subprocess.run(
        ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, *arguments],
        input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"psql failed: {done.stderr}")
    return done.stdout.strip()


class Stopwatch:  # pylint: disable=too-few-public-methods
    """Microseconds of wall time of a call."""

    def __init__(self):
        self.began = time.perf_counter()

    def microseconds(self):
        return (time.perf_counter() - self.began) * 1e6
