"""A cluster on file systems so small that a test can fill them."""
import os
import subprocess
import tempfile

from harness import UNPRIVILEGED, WORK, Skip, set_up


class SmallDisk:
    """A memory file system of so many MB."""

    def __init__(self, path, megabytes):
        os.mkdir(path)
        self.path = path
        self.ballast = os.path.join(path, "ballast")
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755",
             "usermgmt-test", path], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Skip("no file system may be mounted: "
                       + done.stderr.splitlines()[0])
        os.chown(path, UNPRIVILEGED["user"], UNPRIVILEGED["group"])

    def fill(self):
        """Takes all the space that is left."""
        block = bytes(65536)
        with open(self.ballast, "wb", buffering=0) as file:
            while block:
                try:
                    file.write(block)
                except OSError:
                    block = block[:len(block) // 2]

    def empty(self):
        os.unlink(self.ballast)

    def close(self):
        # Lazily, so that whatever still looks into it can not keep it.
        subprocess.run(["umount", "-l", self.path], check=True)


class SmallCluster:
    """Its data and its WAL each on a disk of their own; while it is open, it is
    the cluster that the environment names."""

    def __init__(self):
        if os.getuid() != 0 or not UNPRIVILEGED:
            raise Skip("only root may mount, and PGDATA names the account")
        self.home = tempfile.mkdtemp(dir=WORK, prefix="small.")
        os.chown(self.home, UNPRIVILEGED["user"], UNPRIVILEGED["group"])
        self.disks = []
        self.before = dict(os.environ)
        self.data = os.path.join(self.home, "data", "pg")
        try:
            self.data_disk = self.mount("data", 96)
            self.wal_disk = self.mount("wal", 32)
            self.make()
        except BaseException:
            self.close()
            raise

    def mount(self, name, megabytes):
        disk = SmallDisk(os.path.join(self.home, name), megabytes)
        self.disks.append(disk)
        return disk

    def run(self, program, *arguments):
        """Runs one of PostgreSQL's programs; gives its exit code."""
        path = os.path.join(os.environ.get("PG_BIN", ""), program)
        with open(os.path.join(self.home, "run.log"), "ab") as log:
            return subprocess.run([path, *arguments], stdout=log, stderr=log,
                                  stdin=subprocess.DEVNULL, cwd="/", timeout=60,
                                  check=False, **UNPRIVILEGED).returncode

    def make(self):
        if self.run("initdb", "-D", self.data, "-X",
                    os.path.join(self.home, "wal", "pg"), "--wal-segsize=1",
                    "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8",
                    "-A", "trust", "-N"):
            raise AssertionError("initdb failed")
        with open(os.path.join(self.data, "postgresql.conf"), "a",
                  encoding="utf-8") as file:
            with open(os.environ["TEMP_CONFIG"], encoding="utf-8") as more:
                file.write(more.read())
            file.write(f"unix_socket_directories = '{self.home}'\n"
                       "listen_addresses = ''\nlc_messages = 'C'\n"
                       "min_wal_size = 2MB\nmax_wal_size = 8MB\n"
                       "shared_buffers = 16MB\n")
        os.environ.update(PGHOST=self.home, PGPORT="5432", PGUSER="postgres",
                          PGDATABASE="postgres", PGDATA=self.data)
        if not self.start():
            raise AssertionError(f"the server does not start: {self.log()}")
        set_up()

    def start(self):
        """Whether it did."""
        return self.run("pg_ctl", "-D", self.data, "-w", "-t", "20", "-l",
                        os.path.join(self.home, "log"), "start") == 0

    def runs(self):
        return self.run("pg_ctl", "-D", self.data, "status") == 0

    def log(self):
        with open(os.path.join(self.home, "log"), encoding="utf-8",
                  errors="replace") as file:
            return file.read()

    def close(self):
        if os.path.exists(os.path.join(self.data, "postmaster.pid")):
            self.run("pg_ctl", "-D", self.data, "-m", "immediate", "stop")
        for disk in self.disks:
            disk.close()
        for name in set(os.environ) - set(self.before):
            del os.environ[name]
        os.environ.update(self.before)
