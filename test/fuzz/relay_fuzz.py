#!/usr/bin/python3
"""R21: hostile bytes for every parser of the relay, under the sanitizers.

Plausible inputs of each are changed by chance; the same seed makes the same
ones. What breaks is found again, alone, and printed.
"""
import argparse
import glob
import os
import random
import subprocess
import sys
import tempfile
import time

import values

HERE = os.path.dirname(os.path.abspath(__file__))
RELAY = os.path.join(HERE, "..", "..", "src", "relay")
PARTS = ["report", "redact", "transport", "https_reply", "message", "header", "config",
         "config_check", "secret", "wire", "backoff"]
PIECES = [b"", b"\n", b"\r\n", b"\r", b"\0", b"\0" * 9, b"A" * 3000, b"-" * 90, b"--", b";", b":", b"\"", b"\\",
          b"\r\n \r\n ", b"Status:", b"\xff", b"\xc3", b"\xe2\x80\xa8", b"\xf0\x9f\x99\x82" * 30, b"=?UTF-8?B?", b"%n%s",
          b"token=", b"https://x.example/?", b"a" * 41, b"<", b">", b"@", b".", b" ", b"\t", b"250-", b"550 5.1.1 ",
          b"9" * 30, b"-1", b"1e308", b"nan", b"[", b"{", b"[" * 3000, b"\\ud800", b"\xed\xa0\x80"]
SEEDS = {
    "s": [b"220 hello\0>EHLO x\0" b"250-a\0" b"250 b\0>MAIL FROM:<a@x>\0" b"250 ok\0>RCPT TO:<b@x>\0"
          b"250 ok\0>DATA\0" b"354 go\0.\0" b"250 2.0.0 queued as 123\0>QUIT\0" b"221 bye",
          b"220 x\0>MAIL\0" b"530 5.7.0 first\0", b".\0" b"451-4.3.0 wait\0" b"451 https://a.example/accept?token=abcdef\0"],
    "h": [b"200\0" b"0\0{\"id\": \"49a3999c-0ce1-4ea6-ab68-afcd6dc2e794\"}",
          b"422\0" b"0\0{\"statusCode\": 422, \"name\": \"invalid_from_address\", \"message\": \"no\"}",
          b"429\0" b"7\0{\"name\": \"rate_limit_exceeded\", \"message\": \"Too many\"}", b"503\0" b"99999999999\0", b"302\0\0<html>"],
    "m": ["no-reply@example.org\0Acme\0eva@bücher.example\0Eva\0reply@example.org\0Join us\0<id@example.org>\0Hello\n=there \0<p>Hello</p>".encode(),
          b"a@x\0\0b@x\0\0\0s\0<a@b>\0text", "a@x\0Zoë\0b@x\0名前\0\0Grüße\0<a@b>\0\0".encode() + b"\xc3\xa9\r" * 60],
    "c": [b"--smtp=smtp://mail.example:587/me\0--tls=none\0--batch=7\0--once\0--print-config", b"--https\0https://api.example/emails\0-v",
          b"--transport=dir:/x\0--worker=me\0--timeout=0.5\0--connections=3", b"--bounce\0--bounce-recipient=a+b@c.example",
          b"-d\0host=x\0--smtp=smtps://[::1]:465\0--smtp-user=u\0--smtp-password-file=/x\0--bounce-address=b@x.example"],
    "k": [b"secret\n", b"secret\r\nmore", b"x" * 1023, b"\n"],
    "t": ["eva@bücher.example".encode(), b"see https://app.example/reset-password?token=um1_AAAA and token=x", b"a" * 200],
}


def mutation(chance, seeds):
    """One of them, changed in a few places."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randrange(0, 10)):
        at = chance.randrange(len(data) + 1)
        end = at + chance.choice([0, 0, 1, 3, chance.randrange(60)])
        data[at:end] = chance.choice([chance.choice(PIECES), bytes([chance.randrange(256)]),
                                      bytes(data[end:end + 40]), chance.choice(PIECES) * chance.randrange(4)])
        if len(data) > 20000:
            del data[20000:]
    return bytes(data)


def build():
    program = os.path.join(tempfile.mkdtemp(prefix="relay_fuzz."), "relay_fuzz")
    flags = subprocess.run("pkg-config --libs libidn2 jansson; curl-config --libs", shell=True, check=True,
                           capture_output=True, text=True).stdout.split()
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-DUSERMGMT_VERSION=\"x\"", "-g", "-O1",
                    "-fsanitize=address,undefined", "-fno-sanitize-recover", "-I", RELAY, "-o", program,
                    os.path.join(HERE, "relay_fuzz.c"), *(os.path.join(RELAY, part + ".c") for part in PARTS), *flags],
                   check=True)
    return program


def run(program, records):
    """None, or what the sanitizer said."""
    done = subprocess.run([program], input=b"".join(len(data).to_bytes(4, "little") + parser.encode() + data
                                                    for parser, data in records),
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=600, check=False,
                          env={**os.environ, "ASAN_OPTIONS": "detect_leaks=1"})
    if done.returncode == 0 and done.stderr.rstrip().endswith(b"records %d" % len(records)):
        return None
    return f"exit {done.returncode}\n" + done.stderr.decode(errors="replace")[-3000:]


def culprit(program, records):
    """The first record that breaks it alone, or all of them."""
    while len(records) > 1:
        half = len(records) // 2
        if run(program, records[:half]):
            records = records[:half]
        elif run(program, records[half:]):
            records = records[half:]
        else:
            break
    return records


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=values.seed())
    parser.add_argument("--inputs", type=int, default=int(os.environ.get("FUZZ_INPUTS", 10000)))
    options = parser.parse_args()
    print(f"# seed {options.seed}", flush=True)
    SEEDS["r"] = []
    for name in glob.glob(os.path.join(HERE, "..", "relay", "reports", "*.eml")):
        with open(name, "rb") as file:
            SEEDS["r"].append(file.read())
    program = build()
    chance = random.Random(options.seed)
    began = time.monotonic()
    done, broken = 0, None
    while done < options.inputs and not broken:
        records = [(kind, mutation(chance, SEEDS[kind])) for kind in chance.choices(sorted(SEEDS), k=5000)]
        done += len(records)
        if run(program, records):
            records = culprit(program, records)
            broken = f"{[(kind, data[:2000]) for kind, data in records[:3]]}\n{run(program, records)}"
    print("1..1")
    if broken:
        print("# " + broken.replace("\n", "\n# "))
    print(f"{'not ' if broken else ''}ok 1 - R21: hostile bytes break no parser of the relay")
    print(f"# R21: {'1 report' if broken else '0 reports'} of the sanitizers in {done} inputs of {len(SEEDS)} parsers, "
          f"{time.monotonic() - began:.0f} s, seed {options.seed}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
