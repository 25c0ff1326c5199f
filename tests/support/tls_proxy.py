"""A proxy with TLS before a node, set up rightly or in one of the wrong ways."""

import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

MAX_HEADER = 8192
"""Characters of a header that it takes from the node, as nginx does."""

MAX_BODY = 1024 * 1024


class TlsProxy:
    """Listens at `url`, https://localhost:…; `certificate` is the file that one must trust.

    The attributes say what it does with each request, rightly at first.
    """

    def __init__(self, folder: Path) -> None:
        self.node_port = 0
        self.set_up()
        self.certificate = folder / "proxy.pem"
        self.certificate.write_bytes(certificate())
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy._pass_on(self)

            def do_POST(self) -> None:
                proxy._pass_on(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://localhost:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def set_up(self, **wrongly: Any) -> None:
        """Be set up rightly, but for what is given."""
        self.own_address = "127.0.0.1"
        self.keeps_what_clients_send = False
        self.tells_the_scheme = True
        self.passes_the_host_on = True
        self.refuses_in = "application/json"
        self.max_body = MAX_BODY
        self.drops = ""
        self.drops_every_other = ""
        self.count = 0
        vars(self).update(wrongly)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _pass_on(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers.get("Content-Length") or 0))
        if len(body) > self.max_body:
            self._refuse(asked, 413)
            return
        headers = dict(asked.headers)
        if not self.keeps_what_clients_send:
            headers |= {"X-Forwarded-For": asked.client_address[0]}
            headers.pop("Forwarded", None)
            headers.pop("X_Forwarded_For", None)
        self.count += 1
        if self.count % 2:
            headers.pop(self.drops_every_other, None)
        if self.tells_the_scheme:
            headers["X-Forwarded-Proto"] = "https"
        if not self.passes_the_host_on:
            headers["Host"] = f"127.0.0.1:{self.node_port}"
        node = HTTPConnection(
            "127.0.0.1", self.node_port, timeout=10, source_address=(self.own_address, 0)
        )
        node.request(asked.command, asked.path, body or None, headers)
        answer = node.getresponse()
        told = answer.read()
        node.close()
        if any(len(value) > MAX_HEADER for value in answer.headers.values()):
            self._refuse(asked, 502)
            return
        asked.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in {"connection", "transfer-encoding", self.drops.lower()}:
                asked.send_header(name, value)
        asked.end_headers()
        asked.wfile.write(told)

    def _refuse(self, asked: BaseHTTPRequestHandler, status: int) -> None:
        asked.send_response(status)
        asked.send_header("Content-Type", self.refuses_in)
        asked.end_headers()
        asked.wfile.write(b"{}")


def certificate() -> bytes:
    """Return a key and a certificate for localhost that signs itself, in PEM."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=60, minutes=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)
