"""The small history with the limits and the PL/pgSQL twins beside it."""
from data import ROOT, SMALL, history
from measure import psql

_made = []


def twins():
    data = history(SMALL)
    if not _made:
        psql(data.name, "-f", f"{ROOT}/twins.sql")
        _made.append(True)
    return data
