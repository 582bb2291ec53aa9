#!/usr/bin/python3
"""The parts of relay_test.py that need root: a mail server of one's own, and
small file systems. All that need not be root is run as PGDATA's owner."""
import os
import signal
import sys

import harness
from relay_test import main

# An end from outside is an exception, so that nothing is left behind.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
os.umask(0o022)
os.chmod(harness.WORK, 0o755)
sys.exit(main("postfix_cases", "disk_cases", chosen=sys.argv[1:]))
