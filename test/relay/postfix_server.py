"""A real Postfix of one's own: its configuration, queue, certificate and
mailbox in a directory of the test, on the loopback, ended by its process id.
The system's own Postfix is neither started nor touched."""
import grp
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile

from harness import RELAY, UNPRIVILEGED, WORK, Skip, wait_for
from security_cases import certificate

QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold",
          "incoming", "private", "saved", "trace")

MAIN = """
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
maillog_file = {home}/mail.log
maillog_file_prefixes = {home}
myhostname = mail.relay.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_dns_support_level = disabled
alias_maps =
local_recipient_maps =
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {crt}
smtpd_tls_key_file = {key}
smtpd_tls_received_header = yes
recipient_delimiter = +
in_flow_delay = 0
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
virtual_mailbox_domains = example.org
virtual_mailbox_base = {home}/mailbox
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
transport_maps = inline:{{ {{ mail.relay.test = bounced: }} {elsewhere} }}
bounced_destination_recipient_limit = 1
defer_transports = {deferred}
"""

# Nothing is in a chroot, and nothing reads mail from a command or a network.
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
bounced unix - n n - 2 pipe
  user={user} argv=/usr/bin/env {environment} {relay} --bounce
  --bounce-recipient ${{original_recipient}}
"""


POSTCONF = shutil.which("postconf", path="/usr/sbin:/usr/local/sbin:/usr/bin")


def builtin(name):
    """What this Postfix was built with; its configuration is not read."""
    return subprocess.run([POSTCONF, "-dh", name], check=True, text=True,
                          capture_output=True).stdout.strip()


class Postfix:
    """defer: mail is taken and kept in the queue; elsewhere: the port of a
    server that gone.example belongs to."""

    def __init__(self, defer=False, elsewhere=None):
        if os.getuid() != 0 or not UNPRIVILEGED:
            raise Skip("Postfix wants root, and PGDATA that names its account")
        if not POSTCONF:
            raise Skip("Postfix is not here")
        self.home = tempfile.mkdtemp(dir=WORK, prefix="postfix.")
        os.chmod(self.home, 0o755)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.process = None
        self.elsewhere = elsewhere
        self.make_directories()
        self.configure(defer)
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self):
        return f"smtp://127.0.0.1:{self.port}/relay.test"

    @property
    def options(self):
        return ("--smtp", self.url, "--ca-file", certificate("good")[0])

    def make_directories(self):
        owner = pwd.getpwnam(builtin("mail_owner")).pw_uid
        dropper = grp.getgrnam(builtin("setgid_group")).gr_gid
        account = (UNPRIVILEGED["user"], UNPRIVILEGED["group"])

        def make(name, mode, user, group):
            path = os.path.join(self.home, name)
            os.mkdir(path)
            os.chown(path, user, group)
            os.chmod(path, mode)

        make("queue", 0o755, 0, 0)
        for name in QUEUES:
            make(f"queue/{name}", 0o700, owner, 0)
        make("queue/pid", 0o755, 0, 0)
        make("queue/public", 0o710, owner, dropper)
        make("queue/maildrop", 0o730, owner, dropper)
        make("data", 0o700, owner, 0)
        make("mailbox", 0o700, *account)
        make("etc", 0o755, 0, 0)

    def configure(self, defer):
        crt, key = certificate("good")
        account = pwd.getpwuid(UNPRIVILEGED["user"]).pw_name
        elsewhere = (f"{{ gone.example = smtp:[127.0.0.1]:{self.elsewhere} }}"
                     if self.elsewhere else "")
        environment = " ".join(f"{name}={os.environ[name]}" for name in
                               ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE")
                               if name in os.environ)
        for name, text in (("main.cf", MAIN), ("master.cf", MASTER)):
            path = os.path.join(self.home, "etc", name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.format(
                    home=self.home, crt=crt, key=key, port=self.port,
                    uid=UNPRIVILEGED["user"], gid=UNPRIVILEGED["group"],
                    user=account, relay=shutil.which(RELAY),
                    environment=environment, elsewhere=elsewhere,
                    deferred="virtual" if defer else "").lstrip("\n"))

    def start(self):
        program = os.path.join(builtin("daemon_directory"), "master")
        self.process = subprocess.Popen(
            [program, "-d", "-c", os.path.join(self.home, "etc")],
            start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(self.answers, 10)
        except AssertionError as late:
            raise AssertionError(f"Postfix does not answer: {self.log()}") from late

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as client:
                return client.recv(4) == b"220 "
        except OSError:
            return False

    def stop(self):
        """Ends it and all its daemons, whatever they are at."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        finally:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()

    def close(self):
        if self.process and self.process.poll() is None:
            self.stop()

    def log(self):
        try:
            with open(os.path.join(self.home, "mail.log"), encoding="utf-8",
                      errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return "no log"

    def waiting(self):
        """How many mails are in its queue. It marks a file that is complete, and
        so is answered for, as one to be executed."""
        found = 0
        for name in ("incoming", "active", "deferred"):
            for directory, _, files in os.walk(
                    os.path.join(self.home, "queue", name)):
                for file in files:
                    try:
                        mode = os.stat(os.path.join(directory, file)).st_mode
                    except FileNotFoundError:
                        continue
                    found += bool(mode & stat.S_IXUSR)
        return found

    def arrived(self):
        """The mails in the mailbox, as bytes."""
        mails = []
        directory = os.path.join(self.home, "mailbox", "all", "new")
        if os.path.isdir(directory):
            for name in os.listdir(directory):
                with open(os.path.join(directory, name), "rb") as file:
                    mails.append(file.read())
        return mails
