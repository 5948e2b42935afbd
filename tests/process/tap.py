"""A tap on the TWS socket: passes every byte between gateway and simulator on, and notes what the client asks.

Loopback only. What it notes are the text protocol's messages after the handshake, as lists of fields.
"""

import contextlib
import socket
import struct
import threading

REQUEST_MARKET_DATA = "1"
CANCEL_MARKET_DATA = "2"


class Tap:
    """Listens on `port` and connects each client to `server_port`."""

    def __init__(self, port: int, server_port: int) -> None:
        self.messages: list[list[str]] = []
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", port))
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []
        self._spawn(self._accept)

    def subscribed(self, since: int = 0) -> list[str]:
        """Symbols of the market data requests from message `since` on. Snapshots count too."""
        return [fields[4] for fields in self.messages[since:] if fields[0] == REQUEST_MARKET_DATA]

    def cancelled(self, since: int = 0) -> int:
        return sum(fields[0] == CANCEL_MARKET_DATA for fields in self.messages[since:])

    def close(self) -> None:
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(5.0)

    def _spawn(self, target, *arguments) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._server_port), 5.0)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                self._sockets += [client, server]
                self._spawn(self._pass, server, client, None)
                self._spawn(self._pass, client, server, bytearray())

    def _pass(self, source: socket.socket, target: socket.socket, heard: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
                if heard is not None:
                    heard += data
                    self._note(heard)
        for sock in (source, target):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _note(self, heard: bytearray) -> None:
        if heard.startswith(b"API\0"):
            del heard[:4]
        while len(heard) >= 4:
            (size,) = struct.unpack_from(">I", heard)
            if len(heard) < 4 + size:
                return
            self.messages.append(bytes(heard[4 : 4 + size]).decode("ascii", "replace").split("\0"))
            del heard[: 4 + size]
