"""The public pages that explain the results of a check, to which refused terminals are sent."""

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client

from licenses.checking.results import Result, Step
from licenses.web.results import GUIDES

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("result", Result)
def test_a_page_explains_each_result_to_everybody(result: Result) -> None:
    response = Client().get(f"/results/{result.value}/")
    assert response.status_code == 200
    html = unescape(response.content.decode())
    assert html.count(f"<h1>{result.label}</h1>") == 1
    assert f'<p class="lead">{result.sentence}</p>' in html
    assert f'content="{result.sentence} {result.advice}"' in html


def test_what_is_no_result_has_no_page() -> None:
    assert Client().get("/results/no_such_result/").status_code == 404


def test_a_refusal_leads_to_the_page_of_its_result(client: Client) -> None:
    answer = client.post("/public/checklicense", '{"key": "x"}', content_type="application/json")
    assert answer.json()["help"] == "http://localhost:8000/results/malformed/"


def test_a_refusal_that_judged_no_key_names_no_page(client: Client) -> None:
    answer = client.post("/public/checklicense", "{}", content_type="application/json")
    assert "help" not in answer.json()


@pytest.mark.parametrize("result", Result)
def test_each_result_has_steps_that_lead_on(result: Result) -> None:
    guide = GUIDES[result]
    html = unescape(Client().get(f"/results/{result.value}/").content.decode())
    assert re.findall(r"<li>(.+?)</li>", html.partition("numbered")[2]) == [*guide.steps]
    assert len(guide.steps) >= 2


def test_every_result_is_listed_once_under_what_is_judged_in_its_step(client: Client) -> None:
    html = client.get("/results/revoked/").content.decode()
    assert re.findall(r'"(/results/\w+/)"', html) == [f"/results/{each.value}/" for each in Result]
    assert re.findall(r"<dt>(.+?)</dt>", html) == ["Passes", *Step.labels]


def test_support_is_named_where_the_settings_have_it(client: Client, settings: Any) -> None:
    settings.SUPPORT_URL = "https://help.example.com"
    article = client.get("/results/revoked/").content.decode().partition("<footer")[0]
    assert article.count('href="https://help.example.com"') == 1
