#!/usr/bin/python3
"""The relay against real and faulty mail servers; TAP on standard output.

PGHOST, PGPORT and PGDATABASE name a superuser connection, RELAY the program,
and PGDATA, when set, a cluster that may be restarted.  Arguments choose the
cases whose description contains one of them.
"""
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position,unused-import
import harness
import delivery_cases
import template_cases
import fault_cases
import database_cases
import security_cases
import operation_cases
import https_cases
import bounce_cases


def main():
    harness.set_up()
    try:
        return harness.run_cases(sys.argv[1:])
    finally:
        shutil.rmtree(harness.WORK, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
