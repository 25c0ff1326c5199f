"""What a request to the API costs beside the page that shows the same, by processor time.

`python -m tests.bench.api PEOPLE` measures in one process: page and API in turns, so that whatever
else the machine does concerns both. PEOPLE is the file that `tests.bench.people` has written.
"""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import django

from tests.bench.bench import Bench
from tests.bench.measuring import run_python

LIMIT = 1.3
"""How much of the page's processor time a request to the API takes at most."""

LICENSES, TURNS, REQUESTS = 100, 15, 20

PAIRS = {
    "list of subscriptions": ("/subscriptions/", "/api/v1/subscriptions"),
    "both slots": ("/subscriptions/{0}/", "/api/v1/subscriptions/{0}/keys"),
    "license file": (
        "/subscriptions/{0}/download/primary/",
        "/api/v1/subscriptions/{0}/keys/primary/file",
    ),
    "log": ("/logs/", "/api/v1/log"),
}
"""Page and operation, by what both show; the log has a row of each file that was taken before."""


def api(bench: Bench) -> None:
    """The API beside the pages. Raises RuntimeError where it takes more than LIMIT."""
    print(f"\n## API, processor time of one request, {TURNS} turns of {REQUESTS}\n")
    print("| database | what | page ms | API ms | of the page |")
    print("| --- | --- | ---: | ---: | ---: |", flush=True)
    dear = []
    for title, url in bench.databases("api"):
        people = bench.people(url, licenses=LICENSES)
        variables = {"DATABASE_URL": url, "API_REQUESTS_PER_MINUTE": "1000000"}
        file = str(people.folder / "people.json")
        found = json.loads(run_python(["tests.bench.api", file], variables))
        for name, (page, asked) in found.items():
            print(
                f"| {title} | {name} | {page:.1f} | {asked:.1f} | {asked / page:.2f} |", flush=True
            )
            if asked > LIMIT * page:
                dear.append(f"{name} ({title})")
    if dear:
        raise RuntimeError(f"Dearer than {LIMIT} of its page: {', '.join(dear)}.")


def main(people: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Return the milliseconds of page and API, by what is asked: medians of the turns."""
    from portal.server.handler import Handler
    from subscriptions.models import Subscription
    from tests.support.service_tokens import make_service_token

    tenant = Subscription.objects.get(pk=people["subscription"]).tenant
    _, raw = make_service_token(tenant=tenant)
    handler = Handler()

    def asks(path: str, **headers: str) -> Callable[[], float]:
        path = path.format(people["subscription"])

        def ask() -> float:
            begun = process_time()
            for _ in range(REQUESTS):
                status, _, response = handler.respond(environ(path, headers), b"")
                content = b"".join(response)
                response.close()
                if status != 200 or not content:
                    raise RuntimeError(f"{path} answered {status}.")
            return (process_time() - begun) * 1000 / REQUESTS

        return ask

    found = {}
    for name, (page, asked) in PAIRS.items():
        both = (
            asks(page, HTTP_COOKIE=people["owners"][0]),
            asks(asked, HTTP_AUTHORIZATION=f"Bearer {raw}"),
        )
        turns = [[ask() for ask in both] for _ in range(TURNS + 1)][1:]  # after one to warm up
        found[name] = tuple(median(times) for times in zip(*turns, strict=True))
    return found


def environ(path: str, headers: dict[str, str]) -> dict[str, Any]:
    """Return what a server gives for a GET."""
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost:8000",
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
        **headers,
    }


if __name__ == "__main__":
    django.setup()
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
