"""A small mail server (RFC 5321) that accepts, refuses, or is away, as a test wants."""

import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from email import message_from_bytes, policy
from email.message import EmailMessage


class MailServer:
    """Listens on 127.0.0.1; `mails` has what it accepted.

    `answer` goes to each recipient and `verdict` comes after the text; `before_verdict` is called
    between the two.
    """

    def __init__(self, port: int = 0) -> None:
        self.mails: list[EmailMessage] = []
        self.answer = self.verdict = "250 Accepted"
        self.before_verdict: Callable[[], object] = lambda: None
        self.sessions = 0
        self.texts = 0
        server = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                server._talk(self)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", port), Session)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _talk(self, session: socketserver.StreamRequestHandler) -> None:
        def say(line: str) -> None:
            with suppress(ConnectionError):  # a worker that was killed
                session.wfile.write(f"{line}\r\n".encode())

        self.sessions += 1
        say("220 tests")
        for line in session.rfile:
            command = line.decode().strip().upper()
            if command.startswith("DATA"):
                say("354 Go on")
                text = self._text(session)
                self.texts += 1
                self.before_verdict()
                verdict = self.verdict
                if verdict.startswith("250"):
                    self.mails.append(message_from_bytes(text, policy=policy.default))
                say(verdict)
            elif command.startswith("RCPT"):
                say(self.answer)
            elif command.startswith("QUIT"):
                say("221 Bye")
                return
            else:
                say("250 OK")

    def _text(self, session: socketserver.StreamRequestHandler) -> bytes:
        text = b""
        for line in session.rfile:
            if line == b".\r\n":
                break
            text += line.removeprefix(b".")
        return text
