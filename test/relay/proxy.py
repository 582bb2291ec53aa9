"""A network between the relay and its database, with faults."""
import os
import socket
import threading

from harness import WORK


def shut(sockets):
    for one in sockets:
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Proxy:
    """Between the relay and its database; a frozen session hangs half-open."""

    def __init__(self, cut_at=None):
        self.cut_at = cut_at    # a session ends when this word comes along
        self.refusing = False
        self.sockets = []
        self.frozen = threading.Event()
        self.open = threading.Event()   # else everything waits on its way
        self.open.set()
        self.listener = socket.socket(socket.AF_UNIX)
        path = os.path.join(WORK, ".s.PGSQL.5432")
        if os.path.exists(path):
            os.unlink(path)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refusing:
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(os.path.join(
                os.environ["PGHOST"],
                ".s.PGSQL." + os.environ.get("PGPORT", "5432")))
            self.sockets += [client, server]
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=(ends, self.frozen),
                                 daemon=True).start()

    def pump(self, ends, frozen):
        try:
            while data := ends[0].recv(65536):
                if frozen.is_set():
                    return
                # A Bind, and not the Parse when the session begins.
                if self.cut_at and data[:1] == b"B" and self.cut_at in data:
                    break
                self.open.wait(200)
                ends[1].sendall(data)
        except OSError:
            pass    # as when an end was killed before it had read everything
        shut(ends)

    def freeze(self):
        """Sessions that are open hang from now on; new ones do not."""
        self.frozen.set()
        self.frozen = threading.Event()

    def refuse(self):
        """Ends every session, and refuses new ones."""
        self.refusing = True
        shut(self.sockets)
        self.sockets.clear()

    def close(self):
        self.open.set()
        self.listener.close()
