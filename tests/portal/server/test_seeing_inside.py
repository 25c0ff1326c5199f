"""Two real processes: their figures add up, and their lines tell all and give nothing away."""

import json
import re
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings

from licenses.models import LicenseKey, Slot
from portal.metrics import node
from portal.server.access_log import WRITE_SECONDS
from tests.support import database
from tests.support.factories import make_license
from tests.support.metrics import samples
from tests.support.server import LivePortal
from tests.support.strange import NASTY
from tests.support.terminals import body_for
from tests.support.wire import ask, head

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

CHECK = "/public/checklicense"
TOKEN = "a token for the tests of two processes"
SCRAPE = head("GET", "/metrics", f"Authorization: Bearer {TOKEN}")
SECRET = "Secret-3fQx0OeY8rJtGm1LhD5vKuWbA2iPzN7s"
MAILED = [
    f"/invitations/{SECRET}/",
    f"/objections/{SECRET}/",
    f"/notifications/stop/{SECRET}/",
    f"/accounts/signup/{SECRET}/",
    f"/accounts/confirm-email/{SECRET}/",
    f"/accounts/password/reset/key/{SECRET}/",
    f"/nowhere/{SECRET}/{'x' * 400}",
]
KEYS = ["time", "level", "logger", "message"]
REQUEST = ["method", "route", "status", "duration_ms", "bytes", "client"]
KNOWN = {*KEYS, *REQUEST, "request_id", "trace_id", "tenant", "actor", "exception"}


class TwoProcesses(LivePortal):
    """`manage.py serve` as production runs it: two processes, JSON, behind a proxy."""

    def command(self) -> list[str]:
        arguments = ["serve", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "2"]
        return [sys.executable, "manage.py", *arguments]

    def lines(self, start: int = 0) -> list[dict[str, Any]]:
        """Return the lines of the log: each of them is one JSON object."""
        return [json.loads(line) for line in self.log(start=start).splitlines()]

    def written(self) -> int:
        """Return how long the log is when the lines of all that was sent before are in it."""
        sleep(3 * WRITE_SECONDS)
        return len(self.log().encode())

    def scraped(self) -> dict[str, float]:
        status, _, told = ask(self, SCRAPE)
        assert status == 200
        return samples(told.decode())


@pytest.fixture(scope="module")
def portal(
    static_files: None, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwoProcesses]:
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(settings.STATIC_ROOT, folder / "static")
    shutil.copy(Path(settings.DATA_DIR) / "secrets.json", folder)
    two = TwoProcesses(
        folder=folder,
        database_url=database.url(),
        DATA_DIR=str(folder),
        METRICS_TOKEN=TOKEN,
        LOG_FORMAT="json",
        LOG_LEVEL="INFO",
        ACCESS_LOG="all",
        TRUSTED_PROXIES="127.0.0.1",
    )
    two.start()
    yield two
    two.stop()


@pytest.fixture
def key(signing_key: Any) -> LicenseKey:
    return make_license(signing_key=signing_key).keys.get(slot=Slot.PRIMARY)


def check(portal: LivePortal, body: dict[str, Any]) -> int:
    text = json.dumps(body).encode()
    kind = "Content-Type: application/json; charset=utf-8"
    return ask(portal, head("POST", CHECK, kind, f"Content-Length: {len(text)}") + text)[0]


def counted(found: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    """Return how often what was sent was counted, since `before`."""
    pattern = re.compile(r"license_portal_(terminal_checks|http_requests)_total.*")
    grown = {n: v - before.get(n, 0) for n, v in found.items() if pattern.fullmatch(n)}
    return {n: v for n, v in grown.items() if v and '"metrics"' not in n and '"ready"' not in n}


def test_every_process_tells_the_figures_of_both(portal: TwoProcesses, key: LicenseKey) -> None:
    before = portal.scraped()
    [style] = [path.name for path in Path(settings.STATIC_ROOT).glob("app.*.css")]
    for _ in range(12):
        assert check(portal, body_for(key)) == 200
    for _ in range(6):
        assert check(portal, body_for(key) | {"key": "no.key.really"}) == 400
        assert ask(portal, head("GET", f"/static/{style}"))[0] == 200
        assert ask(portal, head("GET", "/.well-known/jwks.json"))[0] == 200
        assert ask(portal, head("GET", "/accounts/login/"))[0] == 200
        assert ask(portal, head("GET", f"/nowhere/{SECRET}"))[0] == 404
    sent = {
        'license_portal_terminal_checks_total{result="valid"}': 12,
        'license_portal_terminal_checks_total{result="malformed"}': 6,
        'license_portal_http_requests_total{route="public:check_license",status="200"}': 12,
        'license_portal_http_requests_total{route="public:check_license",status="400"}': 6,
        'license_portal_http_requests_total{route="static",status="200"}': 6,
        'license_portal_http_requests_total{route="jwks",status="200"}': 6,
        'license_portal_http_requests_total{route="account_login",status="200"}': 6,
        'license_portal_http_requests_total{route="other",status="404"}': 6,
    }
    end = monotonic() + 10
    while counted(portal.scraped(), before) != sent and monotonic() < end:
        sleep(0.2)
    for _ in range(8):  # one process or the other
        found = portal.scraped()
        assert counted(found, before) == sent
    buckets = 'license_portal_http_request_duration_seconds_bucket{{le="{}",route="{}"}}'
    assert found[buckets.format("+Inf", "account_login")] >= 6
    told = [name for name in found if name.startswith("license_portal_process_start_time_seconds")]
    assert len(told) == 2
    assert {re.findall('role="(.*)"', name)[0] for name in told} == {"server"}
    assert found['license_portal_event_loop_lag_seconds_bucket{le="+Inf"}'] > 0
    assert found["license_portal_signing_duration_seconds_count"] >= 0
    took = sum(v for n, v in found.items() if "process_cpu_seconds_total" in n)
    assert 0 < took < 600


def test_every_finished_request_is_one_line_and_no_line_has_a_secret(
    portal: TwoProcesses, key: LicenseKey, contoso: Any, owner: Any, owner_client: Any
) -> None:
    start = portal.written()
    session = owner_client.cookies[settings.SESSION_COOKIE_NAME].value
    cookie = f"Cookie: {settings.SESSION_COOKIE_NAME}={session}"
    check(portal, body_for(key))
    check(portal, body_for(key) | {"key": f"{key.token}x"})
    ask(portal, head("GET", "/subscriptions/", cookie))
    for path in [*MAILED, f"/results/{key.token}/", f"/accounts/login/?next={key.token}"]:
        ask(portal, head("GET", path))
    strange = [value for value in NASTY if len(value) < 1000 and value.isprintable()]
    for value in (value.encode().decode("latin-1") for value in strange):
        ask(portal, head("GET", f"/invitations/{quote(value)}/"))
        ask(portal, head("GET", "/logs/", f"X-Request-ID: {value}", f"User-Agent: {value}"))
    sent = 3 + len(MAILED) + 2 + 2 * len(strange)
    end = monotonic() + 10
    while len(requests(portal.lines(start))) < sent and monotonic() < end:
        sleep(0.1)
    lines, log = portal.lines(start), portal.log(start=start)
    found = requests(lines)
    assert len(found) == sent
    assert {name for line in lines for name in line} <= KNOWN
    assert {tuple(line)[:4] for line in lines} == {tuple(KEYS)}
    assert [line for line in found if not set(REQUEST) <= set(line)] == []
    assert Counter(line["route"] for line in found)["public:check_license"] == 2
    [page] = [line for line in found if line["route"] == "subscriptions:list"]
    assert (page["method"], page["status"], page["client"]) == ("GET", 200, "127.0.0.1")
    assert (page["tenant"], page["actor"]) == (str(contoso.pk), str(owner.pk))
    assert (0 < page["duration_ms"] < 60_000, page["bytes"] > 1000) == (True, True)
    secrets = [SECRET, key.token.split(".")[1], key.token.split(".")[2], session, TOKEN]
    assert [secret for secret in secrets if secret in log] == []


def requests(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    own = {"metrics", "ready"}
    return [n for n in lines if n["logger"] == "portal.access" and n["route"] not in own]


def test_the_reference_of_a_proxy_goes_through(portal: TwoProcesses) -> None:
    start = portal.written()
    for number, path in enumerate([CHECK, "/accounts/login/", "/nowhere/"]):
        _, headers, page = ask(portal, head("GET", path, f"X-Request-ID: proxy-000{number}"))
        assert headers["x-request-id"] == f"proxy-000{number}"
    assert b"proxy-0002" in page
    end = monotonic() + 10
    while len(requests(portal.lines(start))) < 3 and monotonic() < end:
        sleep(0.1)
    found = [line["request_id"] for line in requests(portal.lines(start))]
    assert sorted(found) == ["proxy-0000", "proxy-0001", "proxy-0002"]


@pytest.mark.sweep
def test_figures_never_go_back_when_processes_die(portal: TwoProcesses) -> None:
    name = 'license_portal_http_requests_total{route="account_login",status="200"}'
    sleep(3 * node.WRITE_SECONDS)
    before = portal.scraped().get(name, 0)
    for _ in range(4):
        ask(portal, head("GET", "/accounts/login/"))
    sleep(3 * node.WRITE_SECONDS)
    assert portal.scraped()[name] == before + 4
    files = sorted(path.name for path in (portal.log_path.parent / "metrics").iterdir())
    assert files == ["0", "1"]
    portal.stop(how=signal.SIGKILL)
    portal.start()
    assert portal.scraped()[name] == before + 4
    assert sorted(p.name for p in (portal.log_path.parent / "metrics").iterdir()) == files
