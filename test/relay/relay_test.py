#!/usr/bin/python3
"""The relay against real and faulty mail servers; TAP on standard output.

PGHOST, PGPORT and PGDATABASE name a superuser connection, RELAY the program,
and PGDATA, when set, a cluster that may be restarted.  Arguments choose the
cases whose description contains one of them.  With RELAY_SOAK set, only the
proofs are run, in full size.
"""
import importlib
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import harness

ALL = ("delivery_cases", "fault_cases", "doubt_cases", "ledger_cases",
       "queue_cases", "https_cases", "bounce_cases", "template_cases", "security_cases", "operation_cases",
       "figure_cases", "session_cases", "database_cases", "proof_cases",
       "outage_cases", "postfix_cases", "disk_cases")


def main(*modules, chosen=()):
    """Runs the cases of these modules; in a database of their own, made from
    PGDATABASE's connection, if RELAY_DATABASES is set."""
    harness.set_up(modules[0] if os.environ.get("RELAY_DATABASES") else None)
    for name in modules:
        importlib.import_module(name)
    try:
        return harness.run_cases(modules, chosen)
    finally:
        shutil.rmtree(harness.WORK, ignore_errors=True)


if __name__ == "__main__":
    soak = ("proof_cases", "outage_cases") if os.environ.get("RELAY_SOAK") else ALL
    sys.exit(main(*soak, chosen=sys.argv[1:]))
