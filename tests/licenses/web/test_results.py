"""The public pages that explain the results of a check, to which refused terminals are sent."""

from html import unescape

import pytest
from django.test import Client

from licenses.checking.results import Result

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("result", Result)
def test_a_page_explains_each_result_to_everybody(result: Result) -> None:
    response = Client().get(f"/results/{result.value}/")
    assert response.status_code == 200
    html = unescape(response.content.decode())
    assert html.count(f"<h1>{result.label}</h1>") == 1
    assert [text in html for text in (result.sentence, result.advice)] == [True, True]


def test_what_is_no_result_has_no_page() -> None:
    assert Client().get("/results/no_such_result/").status_code == 404


def test_a_refusal_leads_to_the_page_of_its_result(client: Client) -> None:
    answer = client.post("/public/checklicense", '{"key": "x"}', content_type="application/json")
    assert answer.json()["help"] == "http://localhost:8000/results/malformed/"


def test_a_refusal_that_judged_no_key_names_no_page(client: Client) -> None:
    answer = client.post("/public/checklicense", "{}", content_type="application/json")
    assert "help" not in answer.json()
