"""Headers that protect people in browsers, on every kind of answer."""

import pytest

from portal.web.headers import HEADERS
from tests.support.handler import ask

pytestmark = pytest.mark.django_db

PAGES = [
    "/",
    "/nothing-here/",
    "/subscriptions/",
    "/subscriptions/00000000-0000-4000-8000-000000000000/",
    "/results/valid/",
    "/tenant/edit/",
    "/accounts/login/",
    "/admin/",
]


@pytest.mark.parametrize("path", PAGES)
def test_no_page_of_a_member_is_kept_framed_or_named_elsewhere(viewer_client, path):
    answer = viewer_client.get(path)
    assert "no-store" in answer["Cache-Control"]
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["X-Content-Type-Options"] == "nosniff"
    others = {name: answer[name] for name in HEADERS if name != "Cache-Control"}
    assert others == {name: HEADERS[name] for name in others}


def test_static_files_stay_in_caches(client):
    answer = client.get("/static/app.css")
    answer.close()
    assert "public" in answer["Cache-Control"]
    assert "Content-Security-Policy" not in answer  # the page's policy holds for it


def test_pictures_that_a_browser_opens_as_pages_have_the_policy_of_pages(client):
    answer = client.get("/static/favicon.svg")
    answer.close()
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path", ["/public/nothing", "/.well-known/jwks.json", "/healthz/live", "/.well-known/nothing"]
)
def test_answers_to_programs_are_not_framed_either(path):
    _, headers, _ = ask(path)
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
