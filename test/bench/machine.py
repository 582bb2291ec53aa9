"""How fast the machine is while it measures: the time of work that never changes."""
import ctypes
import ctypes.util
import statistics
import time

from measure import Figure

REFERENCE = 100  # milliseconds of a hash where the goals were set
MEBIBYTES = 16
samples = []


class Sodium:
    """libsodium without a database."""

    def __init__(self):
        self.library = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")
        self.library.sodium_init()  # chooses the fast implementation
        self.out = ctypes.create_string_buffer(128)
        self.block = ctypes.create_string_buffer(1 << 20)

    def hash(self):
        """Argon2id at the extension's default cost: 64 MiB, 3 passes."""
        self.library.crypto_pwhash_str_alg(self.out, b"correct horse battery staple", ctypes.c_ulonglong(28),
                                           ctypes.c_ulonglong(3), ctypes.c_size_t(64 << 20), 2)

    def digest(self):
        """BLAKE2b of a mebibyte that is in the processor's cache."""
        self.library.crypto_generichash(self.out, ctypes.c_size_t(32), self.block, ctypes.c_ulonglong(1 << 20),
                                        None, ctypes.c_size_t(0))


def _milliseconds(act, count=1):
    """Processor time, so that other programs count only by what they take from caches and clock."""
    began = time.thread_time_ns()
    for _ in range(count):
        act()
    return (time.thread_time_ns() - began) / 1e6


def sample():
    """Look at the speed now; the milliseconds of a hash."""
    sodium = Sodium()
    samples.append((_milliseconds(sodium.hash), _milliseconds(sodium.digest, MEBIBYTES)))
    return samples[-1][0]


def summary():
    """The speed over the run, for the head of the table."""
    hashes, digests = (Figure.of(list(times), "ms") for times in zip(*samples))
    return (f"an Argon2id hash of 64 MiB and 3 passes took {hashes} of processor time, "
            f"BLAKE2b of {MEBIBYTES} MiB {digests}, {len(samples)} times over the run")


class Beside:
    """The machine's speed just before and just after an absolute figure is measured; between would empty the caches."""

    def __init__(self):
        self.hashes = []

    def __enter__(self):
        self.hashes += [sample() for _ in range(3)]
        return self

    def __exit__(self, *_):
        self.hashes += [sample() for _ in range(3)]

    def factor(self):
        """What a time is multiplied by to be one of the reference speed."""
        return REFERENCE / statistics.median(self.hashes)

    def note(self, figure):
        """The figure as it would be at the reference speed; a rate has a unit with a slash."""
        factor = 1 / self.factor() if "/" in figure.unit else self.factor()
        return (f"; at the reference speed {figure.value * factor:.4g} {figure.unit}"
                f" (a hash took {statistics.median(self.hashes):.0f} ms)")
