"""What could make a measurement look good that went wrong: wrong answers, forms sent twice."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which

import pytest

from tests.bench.bench import first_lines
from tests.bench.measuring import Figures, Target, medians, parts, wrk

needs_wrk = pytest.mark.skipif(which("wrk") is None, reason="wrk is not installed")


class Redirecting(BaseHTTPRequestHandler):
    """Redirects every form to the value of its cookie `to`, and notes what it was sent."""

    protocol_version = "HTTP/1.1"
    sent: set[tuple[str, bytes]] = set()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.sent.add((self.path, body))
        self.send_response(302)
        self.send_header("Location", self.headers["Cookie"].removeprefix("to="))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Server(ThreadingHTTPServer):
    """A server that wrk may hang up on."""

    def handle_error(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    with Server(("127.0.0.1", 0), Redirecting) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def forms(folder: Path, *, to: str) -> Path:
    file = folder / "forms.tsv"
    file.write_text(f"/a/\tto={to}\tx=1\n/b/\tto={to}\tx=2\n")
    return file


@needs_wrk
def test_forms_go_to_their_paths_with_their_cookies(address: str, tmp_path: Path) -> None:
    Redirecting.sent.clear()
    file = forms(tmp_path, to="/list/7/")
    figures = wrk(Target("forms", address, file, expected=("302", "/list/")), seconds=1)
    assert figures.rate > 0
    assert Redirecting.sent == {("/a/", b"x=1"), ("/b/", b"x=2")}


@needs_wrk
@pytest.mark.parametrize("expected", [("200",), ("302", "/list/"), ("302", "/$")])
def test_another_answer_than_the_expected_one_ends_the_run(
    address: str, tmp_path: Path, expected: tuple[str, ...]
) -> None:
    file = forms(tmp_path, to="/accounts/login/")
    with pytest.raises(RuntimeError, match="requests failed, with 302 /accounts/login/"):
        wrk(Target("forms", address, file, expected=expected), seconds=1)


def test_no_request_is_in_two_parts_and_too_few_are_an_error(tmp_path: Path) -> None:
    file = tmp_path / "forms.tsv"
    file.write_text("a\nb\nc\nd\ne\n")
    found = parts(file, 2)
    assert [next(found).read_text() for _ in range(2)] == ["a\nb\n", "c\nd\n"]
    with pytest.raises(RuntimeError, match="too few requests"):
        next(found)


def test_the_first_lines_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_text("a\nb\nc\n")
    assert first_lines(file, 2).read_text() == "a\nb\n"


def test_medians_are_taken_of_each_figure() -> None:
    runs = [Figures(3, 10, 30), Figures(1, 30, 20), Figures(2, 20, 10)]
    assert medians(runs) == Figures(2, 20, 20)
