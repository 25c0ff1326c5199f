"""deploy/ and docs/deploy.md are held to the code; `make test-deploy` runs them."""

import re

import pytest
from django.urls import Resolver404, get_resolver, resolve

from portal.programs.middleware import MAX_BODY_BYTES
from portal.server.node import DRAIN_SECONDS, NEEDED_FILES
from portal.settings import env
from tests.deploy.addresses import SECRET_PATHS
from tests.support.repository import ROOT, files
from tests.support.urls import walk

DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs" / "deploy.md").read_text("utf-8")
TEXTS = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in files()
    if path.is_relative_to(DEPLOY)
}
OTHERS = {
    "DEMONSTRATION",
    "MAINPID",
    "NET_BIND_SERVICE",
    "OWNER_PASSWORD",
    "PORTAL_HOST",
    "PORTAL_NODES",
    "PORTAL_PASSWORD",
    "POSTGRES_PASSWORD_FILE",
    "PATH",
    "PIP_DISABLE_PIP_VERSION_CHECK",
    "PIP_NO_CACHE_DIR",
    "PYTHONDONTWRITEBYTECODE",
}
"""Variables of other programs."""


def test_every_variable_that_they_set_is_a_setting():
    text = "\n".join([*TEXTS.values(), PAGE])
    assigned = re.findall(r"(?:^|[\s\"'])([A-Z][A-Z_]{3,})(?:=|: [^\n])", text, re.MULTILINE)
    assert len(assigned) > 20
    assert set(assigned) - env.asked - OTHERS == set()


def test_every_file_that_the_page_names_is_there():
    named = set(re.findall(r"\bdeploy/[\w/@.-]*\w", PAGE)) - {"deploy/secrets"}
    assert {name for name in named if not (ROOT / name).exists()} == set()
    linked = set(re.findall(r"\]\(((?!http)[^)#]+)", PAGE))
    assert {name for name in linked if not (ROOT / "docs" / name).exists()} == set()
    headings = {
        re.sub(r"\W+", "-", title.lower()) for title in re.findall(r"^#+ (.+)$", PAGE, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) - headings == set()


@pytest.mark.parametrize(
    "name", ["deploy/Containerfile", "deploy/compose.yaml", "deploy/Caddyfile"]
)
def test_every_address_that_is_asked_for_health_exists(name):
    asked = re.findall(r"/healthz/\w+", TEXTS[name])
    assert asked != []
    for path in asked:
        resolve(path)


@pytest.mark.parametrize("name", ["deploy/nginx.conf", "deploy/Caddyfile"])
def test_proxies_hide_every_address_that_ends_in_a_secret(name):
    """What is hidden is found in the URLs: a parameter that is a secret, token or key of a mail."""
    hidden = re.search(r"/\(\?:(invitations\S+?)\)/\)", TEXTS[name])
    assert hidden is not None
    expression = re.compile(rf"/(?:{hidden[1]})/.")
    routes = [route.replace("^", "") for _, route, _ in walk(get_resolver().url_patterns)]
    secret = [route for route in routes if re.search(r"<(?:\w+:)?(?:secret|token|key)>", route)]
    assert len(secret) >= len(SECRET_PATHS)
    assert [route for route in secret if not expression.match(f"/{route}")] == []


def test_addresses_that_the_journey_opens_exist():
    for path in SECRET_PATHS:
        try:
            resolve(path.format("an-open-secret-0"))
        except Resolver404:
            pytest.fail(f"There is no {path}.")


def test_units_give_the_server_time_and_files():
    unit = dict(re.findall(r"^(\w+)=(.+)$", TEXTS["deploy/systemd/portal@.service"], re.M))
    assert int(unit["TimeoutStopSec"]) > DRAIN_SECONDS
    assert int(unit["LimitNOFILE"]) >= NEEDED_FILES
    [grace] = re.findall(r"x-node:.*?stop_grace_period: (\d+)s", TEXTS["deploy/compose.yaml"], re.S)
    assert int(grace) > DRAIN_SECONDS
    [nofile] = re.findall(r"nofile: (\d+)", TEXTS["deploy/compose.yaml"])
    assert int(nofile) >= NEEDED_FILES


def test_proxies_take_bodies_as_large_as_the_portal_does():
    assert MAX_BODY_BYTES == 64 * 1024
    assert "client_max_body_size 64k;" in TEXTS["deploy/nginx.conf"]
    assert "max_size" not in TEXTS["deploy/Caddyfile"]


def test_no_query_waits_longer_for_pgbouncer_than_for_anything_that_is_away():
    [seconds] = re.findall(r"^query_wait_timeout = (\d+)$", TEXTS["deploy/pgbouncer.ini"], re.M)
    assert int(seconds) <= 2
