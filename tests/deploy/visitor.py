"""A browser without scripts, which reaches the host of the page at one proxy of this machine."""

import re
import socket
import ssl
import urllib.request
from functools import partial
from html import unescape
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

from tests.deploy.machine import HOST
from tests.support.visitor import Visitor


class Connection(HTTPSConnection):
    """A connection to a port of this machine, whatever the host is called."""

    def __init__(self, *args: Any, port_here: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self._create_connection = lambda _address, *rest: socket.create_connection(
            ("127.0.0.1", port_here), *rest
        )


class Handler(urllib.request.HTTPSHandler):
    def __init__(self, port: int, certificate: Path) -> None:
        self.trusted = ssl.create_default_context(cafile=str(certificate))
        super().__init__(context=self.trusted)
        self.port = port

    def https_open(self, req: urllib.request.Request) -> Any:
        connection: Any = partial(Connection, port_here=self.port)
        return self.do_open(connection, req, context=self.trusted)


class Browser(Visitor):
    """Signed in or not, behind the proxy on that port."""

    def __init__(self, port: int, certificate: Path) -> None:
        super().__init__(f"https://{HOST}")
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(self.jar),
            Handler(port, certificate),
        )
        self.opener.addheaders.append(("Origin", self.url))

    def sends(self, path: str, values: dict[str, str]) -> str:
        """Fill in the form of a page, with what stands in its fields already; return the answer.

        Raises AssertionError where the form is shown again, with what it says.
        """
        shown = r'<input(?![^>]*\btype="(?:checkbox|radio|submit|file|password)")[^>]*>'
        fields = re.findall(shown, self.get(path)[2])
        there = {
            name[1]: unescape(value[1])
            for field in fields
            if (name := re.search(r'\bname="([^"]+)"', field))
            and (value := re.search(r'\bvalue="([^"]*)"', field))
        }
        there.pop("csrfmiddlewaretoken", None)
        status, address, text = self.post(path, there | values)
        errors = re.findall(r'class="[^"]*error[^"]*"[^>]*>\s*(?:<[^>]+>\s*)*([^<]+)', text)
        assert status == 200, f"{path} answered {status}: {errors or text[:2000]}"
        assert address != path, f"{path} is shown again: {errors or text[:4000]}"
        return text
