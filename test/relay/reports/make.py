#!/usr/bin/python3
"""Makes the reports of this directory anew, with a private Postfix.

As root, with Debian's postfix installed (no service need run):
    python3 test/relay/reports/make.py test/relay/reports
The instance has its own configuration and queue in a temporary directory,
listens on loopback, and is stopped at the end.
"""
import glob
import os
import re
import shutil
import smtplib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from smtp_server import ScriptedServer  # pylint: disable=wrong-import-position

PORT = 2525
UUID = "0190c4a0-0000-7000-8000-00000000000{}"
MAIN = """
compatibility_level = 3.6
queue_directory = {work}/queue
data_directory = {work}/data
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.example.org
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
transport_maps = inline:{{ {{ bounce.example = report: }},
 {{ refused.example = smtp:[127.0.0.1]:{refusing} }},
 {{ fine.example = smtp:[127.0.0.1]:{fine} }},
 {{ closed.example = smtp:[127.0.0.1]:9 }} }}
recipient_delimiter = +
maximal_queue_lifetime = {lifetime}
bounce_queue_lifetime = 1h
delay_warning_time = {warning}
queue_run_delay = 2s
minimal_backoff_time = 2s
maximal_backoff_time = 2s
maillog_file = {work}/log
maillog_file_prefixes = {work}
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
proxymap unix - - n - - proxymap
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
showq unix n - n - - showq
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
report unix - n n - - pipe
  flags= user=nobody argv=/bin/sh -c cat>{work}/out/${{extension}}
"""


def postfix(work, command):
    subprocess.run(["postfix", "-c", f"{work}/etc", command], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def write_configuration(work, **settings):
    for name, text in (("main.cf", MAIN), ("master.cf", MASTER)):
        with open(f"{work}/etc/{name}", "w", encoding="utf-8") as file:
            file.write(text.format(work=work, port=PORT, **settings))


def send(number, recipient, notify):
    """Hands Postfix one mail as the relay does."""
    name = UUID.format(number)
    mail = (f"From: <no-reply@example.org>\r\nTo: <{recipient}>\r\n"
            f"Subject: Invitation\r\nMessage-ID: <{name}@example.org>\r\n"
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n"
            "\r\nhttps://app.example/accept?token=secret\r\n")
    with smtplib.SMTP("127.0.0.1", PORT) as server:
        server.sendmail(f"bounce+{name}@bounce.example", [recipient], mail,
                        rcpt_options=[f"NOTIFY={notify}"])


def collect(work, wanted, target):
    for _ in range(300):
        found = glob.glob(f"{work}/out/*")
        if len(found) == len(wanted):
            break
        time.sleep(0.2)
    time.sleep(0.5)
    for path in found:
        with open(path, "rb") as file:
            report = file.read().replace(work.encode(), b"/var/spool")
        number = int(re.search(rb"00000000000(\d)", report).group(1))
        with open(f"{target}/{wanted[number]}.eml", "wb") as file:
            file.write(report)
        os.unlink(path)


def main():
    target = os.path.abspath(sys.argv[1])
    work = tempfile.mkdtemp(prefix="postfix-reports.")
    os.chmod(work, 0o755)
    for name, owner in (("etc", "root"), ("queue", "root"),
                        ("data", "postfix"), ("out", "nobody")):
        os.mkdir(f"{work}/{name}")
        shutil.chown(f"{work}/{name}", owner)
    refusing = ScriptedServer({"rcpt": b"550 5.1.1 <nobody@refused.example>: "
                                       b"no such user here\r\n"})
    ports = {"refusing": refusing.port, "fine": ScriptedServer().port}
    rounds = (
        ({"lifetime": "1d", "warning": "0h"},
         {1: ("refused", "nobody@refused.example", "FAILURE"),
          2: ("no-domain", "a@no-such-domain.invalid", "FAILURE"),
          3: ("delivered", "a@fine.example", "SUCCESS,FAILURE")}),
        ({"lifetime": "0", "warning": "0h"},
         {4: ("expired", "a@closed.example", "FAILURE")}),
        ({"lifetime": "1d", "warning": "3s"},
         {5: ("delayed", "a@closed.example", "FAILURE,DELAY")}),
    )
    for settings, mails in rounds:
        write_configuration(work, **settings, **ports)
        postfix(work, "start")
        try:
            time.sleep(1)
            for number, (_, recipient, notify) in mails.items():
                send(number, recipient, notify)
            collect(work, {number: mail[0] for number, mail in mails.items()},
                    target)
        finally:
            postfix(work, "stop")
            time.sleep(1)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
