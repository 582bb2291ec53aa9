"""A mail server on loopback that takes everything; prints its port.

usage: sink.py [SECONDS], after which it gives each of its answers
"""
import asyncio
import sys

DELAY = float(sys.argv[1]) if len(sys.argv) > 1 else 0


class Session(asyncio.Protocol):
    """SMTP, as far as a client needs it to be rid of a mail."""

    def connection_made(self, transport):
        self.transport, self.buffer, self.in_data = transport, b"", False
        self.say(b"220 sink\r\n")

    def say(self, words):
        if DELAY:
            asyncio.get_running_loop().call_later(DELAY, self.transport.write, words)
        else:
            self.transport.write(words)

    def data_received(self, data):
        self.buffer += data
        while True:
            end, size = (b"\r\n.\r\n", 5) if self.in_data else (b"\r\n", 2)
            at = self.buffer.find(end)
            if at < 0:
                return
            line, self.buffer = self.buffer[:at], self.buffer[at + size:]
            self.answer(line[:4].upper())

    def answer(self, verb):
        if self.in_data:
            self.in_data = False
            self.say(b"250 2.0.0 Ok\r\n")
        elif verb == b"DATA":
            self.in_data = True
            self.say(b"354 go on\r\n")
        elif verb == b"QUIT":
            self.transport.write(b"221 bye\r\n")
            self.transport.close()
        elif verb == b"EHLO":
            self.say(b"250-sink\r\n250-SMTPUTF8\r\n250 8BITMIME\r\n")
        else:
            self.say(b"250 2.1.0 Ok\r\n")


async def main():
    server = await asyncio.get_running_loop().create_server(Session, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
