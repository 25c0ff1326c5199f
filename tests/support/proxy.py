"""A TCP proxy that is slow, or hangs, as a network between two machines does."""

import socket
import threading
from contextlib import suppress
from time import sleep


class Proxy:
    """Listens on `port` of 127.0.0.1 before an address, or the path of a Unix socket.

    It always accepts, and forwards only while `forwards` is set; answers come `delay` seconds late.
    """

    def __init__(self, target: tuple[str, int] | str) -> None:
        self.target = target
        self.delay = 0.0
        self.forwards = threading.Event()
        self.forwards.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.wires: list[socket.socket] = [self.listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._connect, args=[client], daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        is_path = isinstance(self.target, str)
        server = socket.socket(socket.AF_UNIX if is_path else socket.AF_INET)
        try:
            server.connect(self.target)
        except OSError:  # the client finds its connection closed
            client.close()
            return
        self.wires += [client, server]
        for pair in ((client, server), (server, client)):
            threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self.forwards.wait()
                if source.family == socket.AF_UNIX or source.getpeername() == self.target:
                    sleep(self.delay)
                target.sendall(data)
        for wire in (source, target):
            with suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the listener and every connection."""
        self.forwards.set()
        for wire in self.wires:
            wire.close()
