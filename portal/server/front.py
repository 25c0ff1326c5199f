"""The front: an event loop reads and writes the network, threads run Django.

A request reaches a thread when it has arrived whole, and leaves it when its answer is whole in
memory, so no slow client holds one. Terminals, callers of the API and health checks have threads of
their own: no page makes them wait for their turn, nor they each other. A database that hangs holds
each thread for a bounded time.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache, partial
from time import perf_counter
from typing import Any

from django.conf import settings
from django.db import close_old_connections
from django.http.request import split_domain_port, validate_host
from django.http.response import HttpResponseBase, StreamingHttpResponse
from django.template.loader import render_to_string
from django.urls import Resolver404, resolve

from portal.metrics.instruments import LOOP_LAG, REQUESTS
from portal.metrics.node import PROCESS
from portal.programs.errors import API, ProgramError, refusal
from portal.programs.middleware import MAX_BODY_BYTES, as_refusal, is_for_programs
from portal.server import bodies, health, pool_figures
from portal.server.access_log import AccessLog
from portal.server.answers import Answer, FastPath, for_pages, for_programs
from portal.server.bodies import Receive
from portal.server.database import bound_queries
from portal.server.handler import Handler, ProgramRequest, environ_of
from portal.server.process_log import under_way, without_secrets
from portal.server.request_ids import REQUEST, identify
from portal.server.transport import hsts, note_scheme

logger = logging.getLogger("portal.front")

type Send = Callable[[dict[str, Any]], Awaitable[None]]

PROGRAM_THREADS = 2
"""Threads for terminals, beside those for people."""

API_THREADS = 2
"""Threads for callers of the API, who get as long for a query as people do."""

HEALTH_THREADS = 4
"""Threads for health checks: as many of them wait together for a database that hangs."""

STREAM_THREADS = 2
"""Downloads that are written at once while their rows are read; others wait for their turn."""

STREAM_BYTES = 65_536
"""Bytes that are gathered before they are sent."""

STREAM_SECONDS = 60
"""Seconds in which a client takes STREAM_BYTES of a download, or loses it."""

PROGRAM_QUERY_SECONDS = 2
"""Seconds that a query of a program's request may take."""

PEOPLE_QUERY_SECONDS = 10
"""Seconds that a query of a page may take."""

STREAM_QUERY_SECONDS = 60
"""Seconds that a download waits for its first rows, and for each next part of them."""

REFUSALS = {
    400: "The body of the request did not arrive whole; send it again.",
    408: "The body of the request came too slowly; send it again.",
    413: "The body of the request has at most {limit} bytes.",
    500: "The portal failed; tell its operators the request_id of this answer.",
}
"""What is said about bodies that did not arrive, and where Django itself failed."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>The portal failed</title></head>
<body><h1>The portal failed</h1><p>The fault is ours. Look at the present state before you try
again, and tell the reference to whoever runs the portal: {reference}</p></body></html>
"""
"""What people see where Django itself failed, so that its templates may fail too."""


class Front:
    """The ASGI application of the portal.

    `fast` has the paths that are answered without Django's layers, by whole path or by all of
    it up to its last slash. `on_loop` are those of them that never wait, and so need no thread.
    """

    def __init__(
        self, handler: Handler, fast: Mapping[str, FastPath], on_loop: Mapping[str, FastPath]
    ) -> None:
        self.handler = handler
        self.fast = fast
        self.on_loop = on_loop
        self.static = handler.static_paths()
        self.headers = for_programs()
        self.only_https = settings.SECURE_SSL_REDIRECT
        self.max_bytes = settings.FILE_UPLOAD_MAX_MEMORY_SIZE + settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        self.programs = _threads("programs", PROGRAM_THREADS, PROGRAM_QUERY_SECONDS)
        self.api = _threads("api", API_THREADS, PEOPLE_QUERY_SECONDS)
        self.people = _threads("people", settings.REQUEST_THREADS, PEOPLE_QUERY_SECONDS)
        self.streams = _threads("streams", STREAM_THREADS, STREAM_QUERY_SECONDS)
        self.health = _threads("health", HEALTH_THREADS, health.WITHIN_SECONDS)
        self.access_log = None if settings.ACCESS_LOG == "off" else AccessLog()
        self.loop: asyncio.AbstractEventLoop | None = None
        PROCESS.each_time(self._probe)
        PROCESS.each_time(pool_figures.look)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request as ASGI says (version 3.0, HTTP)."""
        begun = perf_counter()
        if self.loop is None:
            self.loop = asyncio.get_running_loop()
        environ = environ_of(scope)
        is_program = is_for_programs(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        limit = MAX_BODY_BYTES if is_program else self.max_bytes
        length = environ.get("CONTENT_LENGTH")
        body = b""
        if length is not None or "HTTP_TRANSFER_ENCODING" in environ:
            try:
                body = await bodies.read(receive, length, limit)
            except (bodies.TooLarge, bodies.TooSlow, bodies.Cut) as error:
                status = {bodies.TooLarge: 413, bodies.TooSlow: 408}.get(type(error), 400)
                refused = self._refusal(environ, status, limit=limit)
                self._note(environ, status, begun, len(refused.body))
                await _send(send, refused)
                if status == 413:
                    await bodies.drop_rest(receive)
                return
            begun = perf_counter()  # What the network took is not ours.
        answer, stream = self._at_once(environ, body, is_program), None
        if answer is None:
            answer, stream = await self._by_thread(environ, body, is_program)
        if stream is None:
            self._note(environ, answer.status, begun, len(answer.body))
            await _send(send, answer)
        else:
            note = partial(self._note, environ, answer.status, begun)
            await self._stream(answer, stream, receive, send, note)

    def _note(self, environ: dict[str, Any], status: int, begun: float, size: int) -> None:
        """Count a request that is answered, and leave it to the access log."""
        seconds = perf_counter() - begun
        request, path = environ.pop(REQUEST, None), environ["PATH_INFO"]
        match = getattr(request, "resolver_match", None)
        if match is not None:
            route = _shown(match.view_name)
        else:
            route = "static" if path in self.static else _route(path)
        REQUESTS.observe(seconds, route, str(status))
        if self.access_log is not None and request is not None:
            self.access_log.add(request, route, status, seconds, size)

    def _probe(self) -> None:
        """Measure how long the loop takes to begin what another thread asks of it."""
        if self.loop is not None:
            asked = perf_counter()
            with suppress(RuntimeError):  # It is closed: this process ends.
                self.loop.call_soon_threadsafe(lambda: LOOP_LAG.observe(perf_counter() - asked))

    def _at_once(self, environ: dict[str, Any], body: bytes, is_program: bool) -> Answer | None:
        """Return the answer where it waits for nothing, else None."""
        if is_program:
            return self._answered(environ, body, self.on_loop, has_more_ways=True)
        if environ["PATH_INFO"] in self.static or environ["PATH_INFO"] == health.LIVE:
            return self._respond(environ, body)[0]
        return None

    async def _by_thread(
        self, environ: dict[str, Any], body: bytes, is_program: bool
    ) -> tuple[Answer, HttpResponseBase | None]:
        pool = self._pool(environ["PATH_INFO"], is_program)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(pool, self._in_thread, environ, body, is_program)
        except Exception:
            logger.exception("No answer to %s", without_secrets(environ["PATH_INFO"]))
            return self._refusal(environ, 500), None

    def _pool(self, path: str, is_program: bool) -> ThreadPoolExecutor:
        if is_program:
            return self.api if path.startswith(API) else self.programs
        return self.health if path == health.READY else self.people

    def _in_thread(
        self, environ: dict[str, Any], body: bytes, is_program: bool
    ) -> tuple[Answer, HttpResponseBase | None]:
        if is_program:
            answer = self._answered(environ, body, self.fast)
            if answer is not None:
                return answer, None
        return self._respond(environ, body)

    def _answered(
        self,
        environ: dict[str, Any],
        body: bytes,
        paths: Mapping[str, FastPath],
        *,
        has_more_ways: bool = False,
    ) -> Answer | None:
        """Return the answer of a fast path, or None where Django's layers have to judge.

        What fails on the loop (`has_more_ways`) a thread tries again; what fails there is refused:
        a database that is away costs a request its time-out once.
        """
        path: str = environ["PATH_INFO"]
        fast = paths.get(path) or paths.get(path[: path.rfind("/") + 1])
        if fast is None or not _is_known_host(environ.get("HTTP_HOST", "")):
            return None
        request = ProgramRequest(environ, body)
        note_scheme(request)
        if self.only_https and not request.is_secure():
            return None
        reference = identify(request)
        environ[REQUEST] = request
        token = under_way.set(request)
        try:
            answer = fast(request)
        except ProgramError as refused:
            answer = Answer.of(refusal(request, refused))
        except Exception as error:
            if has_more_ways:
                if not isinstance(error, sqlite3.Error):
                    logger.exception("The loop failed on %s", path)
                return None
            answer = Answer.of(refusal(request, as_refusal(request, error)))
        finally:
            under_way.reset(token)
        if answer is None:
            return None
        answer.headers.extend(self.headers)
        return self._completed(answer, request, reference)

    def _completed(self, answer: Answer, request: ProgramRequest, reference: str) -> Answer:
        """Return an answer with the headers that Django's layers give to every one."""
        answer.headers.append((b"x-request-id", reference.encode()))
        value = hsts(request)
        if value is not None:
            answer.headers.append((b"strict-transport-security", value.encode()))
        return answer

    def _respond(
        self, environ: dict[str, Any], body: bytes
    ) -> tuple[Answer, HttpResponseBase | None]:
        """Run Django; return a download that is written while its rows are read unread."""
        status, headers, response = self.handler.respond(environ, body)
        if isinstance(response, StreamingHttpResponse) and not hasattr(response, "file_to_stream"):
            close_old_connections()  # Its rows are read in another thread, on that one's own.
            return Answer(status, headers, b""), response
        try:
            return Answer(status, headers, b"".join(response)), None
        finally:
            response.close()

    def _refusal(self, environ: dict[str, Any], status: int, *, limit: int = 0) -> Answer:
        """Return what is said instead of Django's answer; the connection ends with it."""
        sentence = REFUSALS[status].format(limit=limit)
        request = environ[REQUEST] = ProgramRequest(environ, b"")
        note_scheme(request)
        reference = identify(request)
        if status < 500:
            token = under_way.set(request)
            extra = {"request": request, "status_code": status}
            logger.warning("%s: %s", environ["PATH_INFO"], sentence, extra=extra)
            under_way.reset(token)
        if is_for_programs(environ["REQUEST_METHOD"], environ["PATH_INFO"]):
            error = "server_error" if status == 500 else "invalid_request"
            answer = Answer.of(refusal(request, ProgramError(error, status, sentence)))
            answer.headers.extend(self.headers)
        else:
            answer = Answer(status, for_pages(), _page(status, limit, reference))
        answer.headers.append((b"connection", b"close"))
        return self._completed(answer, request, reference)

    async def _stream(
        self,
        answer: Answer,
        response: HttpResponseBase,
        receive: Receive,
        send: Send,
        note: Callable[[int], None],
    ) -> None:
        """Write a download as fast as the client reads, and stop when it has gone.

        `note` is told in the end how many bytes were written.
        """
        written = 0
        gone = threading.Event()
        loop = asyncio.get_running_loop()
        watching = loop.create_task(_watch(receive, gone))
        await _start(send, answer)

        async def write(part: bytes) -> None:
            nonlocal written
            async with asyncio.timeout(STREAM_SECONDS):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            written += len(part)

        def pull() -> None:
            gathered = bytearray()
            try:
                for part in response:
                    gathered += part
                    if len(gathered) >= STREAM_BYTES:
                        asyncio.run_coroutine_threadsafe(write(bytes(gathered)), loop).result()
                        gathered.clear()
                    if gone.is_set():
                        return
                asyncio.run_coroutine_threadsafe(write(bytes(gathered)), loop).result()
            except TimeoutError:
                logger.info("A client that does not read has lost its download")
            finally:
                response.close()

        try:
            await loop.run_in_executor(self.streams, pull)
        finally:
            watching.cancel()
            note(written)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _page(status: int, limit: int, reference: str) -> bytes:
    """Return what people see of a refusal."""
    if status == 500:
        return PAGE.format(reference=reference).encode()
    context = {"limit": limit, "request_id": reference}
    return render_to_string(f"{status}.html", context).encode()


def _threads(name: str, count: int, query_seconds: float) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, name, bound_queries, (query_seconds,))


async def _start(send: Send, answer: Answer) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})


async def _send(send: Send, answer: Answer) -> None:
    await _start(send, answer)
    await send({"type": "http.response.body", "body": answer.body})


async def _watch(receive: Receive, gone: threading.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()


@lru_cache(maxsize=1024)
def _route(path: str) -> str:
    """Return the name of the route that a path has, however it was answered."""
    try:
        return _shown(resolve(path).view_name)
    except Resolver404:
        return "other"


def _shown(name: str) -> str:
    """Return the name of a route as metrics and logs have it: the admin is one, it has hundreds."""
    return "admin" if name.startswith("admin:") else name


@lru_cache(maxsize=256)
def _is_known_host(host: str) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)
