#!/usr/bin/python3
"""A part of relay_test.py, so that parts can run side by side."""
import sys

from relay_test import main

sys.exit(main("session_cases", "queue_cases", "template_cases",
              "doubt_cases", "ledger_cases"))
