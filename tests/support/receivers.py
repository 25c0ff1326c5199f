"""A real receiver of webhooks over TLS, and what it got."""

import ssl
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from portal.webhooks import sending
from portal.webhooks.sending import Answer, Request, new_secret
from tests.support.tls_proxy import certificate

LOOPBACK = [ip_network("127.0.0.0/8"), ip_network("::1/128")]


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """Listens at `url`, https://localhost:…; answers with `status` and `answer`.

    `before_answer` is called with each request first, and `raw` is written in place of an answer;
    with `trickles` one byte of it every 50 ms, as long as somebody reads.
    """

    def __init__(self, folder: Path) -> None:
        self.status, self.answer, self.headers = 200, b"", dict[str, str]()
        self.raw, self.trickles = b"", False
        self.before_answer: Any = lambda received: None
        self.received: list[Received] = []
        self.certificate = folder / "receiver.pem"
        self.certificate.write_bytes(certificate())
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received = Received(self.path, dict(self.headers), body)
                receiver.received.append(received)
                receiver.before_answer(received)
                if receiver.raw:
                    step = 1 if receiver.trickles else len(receiver.raw)
                    for place in range(0, len(receiver.raw), step):
                        self.wfile.write(receiver.raw[place : place + step])
                        time.sleep(0.05 if receiver.trickles else 0)
                    return
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(receiver.answer)

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, *args: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = self._server.server_address[1]
        self.url = f"https://localhost:{self.port}/hook"
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def trust(self) -> None:
        """Let this process trust its certificate, as the store of the machine would."""
        sending._context().load_verify_locations(self.certificate)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def sent_to(url: str) -> Answer:
    """Send one event there and return what came of it."""
    return sending.send(
        Request(url=url, event_id="msg_1", body='{"type":"x"}', secrets=(new_secret(),))
    )
