"""A mail server that follows a script, faults included, and keeps a record."""
import socket
import struct
import threading
import time

STALL = object()  # never answer
DROP = object()   # close the connection
RESET = object()  # close it with a TCP reset

OK = {
    "connect": b"220 test.example ready\r\n",
    "mail": b"250 2.1.0 sender fine\r\n",
    "rcpt": b"250 2.1.5 recipient fine\r\n",
    "data": b"354 go ahead\r\n",
    "dot": b"250 2.0.0 queued as T1\r\n",
    "quit": b"221 2.0.0 bye\r\n",
}


class Hold:
    """An action that waits: the test acts meanwhile, then lets go."""

    def __init__(self, then=None):
        self.then = then
        self.reached = threading.Event()
        self.released = threading.Event()


class Gone(Exception):
    """This connection is over."""


class ScriptedServer:
    """script maps a step to an action for always, or to a list used up one by
    one.  Steps: connect ehlo starttls mail rcpt data line dot quit.  Actions:
    bytes to answer, STALL, DROP, RESET, a Hold, a function of the session
    that gives one of these, or None for the usual."""

    def __init__(self, script=None, starttls=None, port=0, delay=0):
        self.script = dict(script or {})
        self.starttls = starttls
        self.delay = delay      # seconds before each answer to a dot
        self.lock = threading.Lock()
        self.messages = []      # what was accepted, as bytes on the wire
        self.dots = 0           # final dots seen, accepted or not
        self.body_bytes = 0     # octets seen inside DATA
        self.commands = []      # every command line, as bytes
        self.connections = 0
        self.open = []
        self.stopped = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"smtp://127.0.0.1:{self.port}/relay.test"

    def message_ids(self):
        found = []
        for message in self.messages:
            for line in message.split(b"\r\n\r\n")[0].split(b"\r\n"):
                if line.lower().startswith(b"message-id:"):
                    found.append(line.split(b":", 1)[1].strip().decode())
        return found

    def verbs(self):
        return [line.split(b" ")[0].split(b":")[0].upper().decode("latin-1")
                for line in self.commands]

    def close(self):
        self.stopped.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self):
        while not self.stopped.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection,),
                             daemon=True).start()

    def _serve(self, connection):
        session = Session(self, connection)
        try:
            session.run()
        except (Gone, OSError, ValueError):
            pass
        finally:
            session.close()

    def action(self, step):
        with self.lock:
            action = self.script.get(step)
            if isinstance(action, list):
                action = action.pop(0) if action else None
        return action


class Session:
    def __init__(self, server, connection):
        self.server = server
        self.connection = connection
        self.line = b""
        self.body = b""
        self.buffer = b""
        self.secure = False

    def close(self):
        try:
            self.connection.close()
        except OSError:
            pass

    def read_line(self):
        while b"\r\n" not in self.buffer:
            more = self.connection.recv(65536)
            if not more:
                raise Gone
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def act(self, step, usual):
        """Follows the script at this step; gives what was answered."""
        action = self.server.action(step)
        if isinstance(action, Hold):
            action.reached.set()
            action.released.wait(60)
            action = action.then
        if callable(action):
            action = action(self)
        if action is STALL:
            self.server.stopped.wait(60)
            raise Gone
        if action is RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
        if action in (DROP, RESET):
            raise Gone
        answer = usual if action is None else action
        # Recorded before it is sent, so that a test never looks too early.
        if step == "dot" and answer.startswith(b"250"):
            self.server.messages.append(self.body)
        if answer:
            self.connection.sendall(answer)
        return answer

    def run(self):
        self.act("connect", OK["connect"])
        while True:
            line = self.read_line()
            self.line = line
            self.server.commands.append(line)
            verb = line[:4].upper()
            if verb in (b"EHLO", b"HELO"):
                extra = (b"250-STARTTLS\r\n"
                         if self.server.starttls and not self.secure else b"")
                self.act("ehlo", b"250-test.example\r\n" + extra
                         + b"250 8BITMIME\r\n")
            elif verb == b"STAR":
                self.start_tls()
            elif verb in (b"MAIL", b"RCPT"):
                self.act(verb.decode().lower(), OK[verb.decode().lower()])
            elif verb == b"DATA":
                if self.act("data", OK["data"]).startswith(b"354"):
                    self.read_body()
            elif verb == b"QUIT":
                self.act("quit", OK["quit"])
                raise Gone
            else:
                self.connection.sendall(b"502 5.5.1 unknown\r\n")

    def start_tls(self):
        if self.act("starttls", b"220 go\r\n").startswith(b"220"):
            self.connection = self.server.starttls.wrap_socket(
                self.connection, server_side=True)
            self.server.open.append(self.connection)
            self.secure = True
            self.buffer = b""

    def read_body(self):
        lines = []
        while True:
            line = self.read_line()
            self.server.body_bytes += len(line) + 2
            if line == b".":
                break
            lines.append(line)
            self.act("line", b"")
        self.server.dots += 1
        self.body = b"".join(line + b"\r\n" for line in lines)
        time.sleep(self.server.delay)
        self.act("dot", OK["dot"])
