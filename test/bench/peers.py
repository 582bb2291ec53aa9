"""P3, with --peers: the same invitation by better-auth, on the same cluster."""
import os
import shutil
import subprocess

from data import ROOT
from invitation import BIND, OURS
from measure import WORK, Options, Pgbench, Ratio, Skip, in_turn, psql, report
from twins import twins

PACKAGES = ("better-auth@1", "pg@8")


def install(directory, packages, script):
    """Packages from npm, into a directory that goes with the benchmark; the path
    of a script beside them."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise Skip("node and npm are not installed")
    os.mkdir(directory)
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages],
                          cwd=directory, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise Skip(f"npm cannot install {' '.join(packages)}")
    return shutil.copy(f"{ROOT}/{script}", directory)


def run():
    if not Options.peers:
        raise Skip("better-auth is installed and measured with --peers only")
    data = twins()
    directory = os.path.join(WORK, "peers")
    install(directory, PACKAGES, "better_auth.mjs")
    psql("postgres", "-c", "CREATE DATABASE bench_peer")
    for clients in (1, 8):
        ours = Pgbench(data.name, clients, "bench_app")
        ours.variables = {"first": 1, "token": data.owner_token}

        def theirs(clients=clients):
            done = subprocess.run(["node", "better_auth.mjs", str(clients), str(max(1, Options.seconds))],
                                  cwd=directory, env=dict(os.environ, PGDATABASE="bench_peer"),
                                  capture_output=True, text=True, timeout=120, check=True)
            return float(done.stdout.split()[-1])
        found = in_turn(Options.rounds, {"ours": lambda: ours.rate(BIND + OURS), "theirs": theirs})
        report("P3", f"invite_user / better-auth createInvitation, {clients} client{'s' * (clients > 1)}",
               Ratio(found["ours"], found["theirs"]), "≥ 10",
               f"{ours.shown(OURS)} / `node better_auth.mjs {clients} {Options.seconds:g}` ({', '.join(PACKAGES)})")
