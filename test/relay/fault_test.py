#!/usr/bin/python3
"""A part of relay_test.py, so that parts can run side by side."""
import sys

from relay_test import main

sys.exit(main("fault_cases", "outage_cases"))
