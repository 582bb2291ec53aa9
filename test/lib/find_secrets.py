"""Prove that no secret is stored: search files and directories for them.

usage: find_secrets.py KNOWN-TEXT LABEL=PATH... < secrets

Each line of standard input is one secret. A token is also searched for as the
bytes and the hexadecimal digits of its last 32 bytes, which are what only its
holder knows. KNOWN-TEXT has to be found wherever LABEL ends in "!": it shows
that the search would have found a secret. Exit 1 when anything is wrong.
"""

import base64
import binascii
import pathlib
import sys


def forms(secret):
    yield secret.encode()
    body = secret.removeprefix("ums_")
    try:
        tail = base64.b64decode(body + "=" * (-len(body) % 4), "-_", validate=True)[-32:]
    except binascii.Error:
        return
    if len(tail) == 32:
        yield tail
        yield tail.hex().encode()


def contents(path):
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            yield file.read_bytes()


def main():
    known = sys.argv[1].encode()
    secrets = [line for line in sys.stdin.read().splitlines() if line]
    sought = [form for secret in secrets for form in forms(secret)]
    ok = bool(secrets)
    for argument in sys.argv[2:]:
        label, path = argument.split("=", 1)
        size = leaks = seen = 0
        for content in contents(pathlib.Path(path)):
            size += len(content)
            leaks += sum(form in content for form in sought)
            seen += content.count(known)
        missed = label.endswith("!") and not seen
        ok = ok and not leaks and not missed
        print(
            f"{label.rstrip('!'):<14} {size / 1e6:7.2f} MB   {leaks} secrets of {len(secrets)}"
            + (f"   ({known.decode()} {seen} times)" if label.endswith("!") else "")
        )
    sys.exit(0 if ok else 1)


main()
