"""A custom plan starts from a template of its claims."""

import json
import re

from subscriptions import custom_claims
from subscriptions.models import Plan
from tests.support.admin_pages import address, errors, save


def test_the_list_begins_with_the_plans_that_are_offered(operator_client):
    old = Plan.objects.filter(is_offered=False).first()
    for asked, shows_old in (("", False), ("?offered=no", True), (f"?q={old.code}", True)):
        page = operator_client.get(f"{address(Plan, 'changelist')}{asked}")
        assert (f"<code>{old.code}</code>" in page.content.decode()) == shows_old, asked


def test_the_template_has_every_claim_and_is_accepted_as_it_is(operator_client):
    assert set(custom_claims.TEMPLATE) == set(custom_claims.NAMES)
    add = f"{address(Plan, 'add')}?template=custom"
    assert add in operator_client.get(address(Plan, "add")).content.decode()
    response = save(operator_client, add, code="acme-yearly", name="Acme")
    assert response.status_code == 302
    assert Plan.objects.get(code="acme-yearly").custom_claims == custom_claims.TEMPLATE


def test_each_claim_stands_in_a_table_with_its_meaning_its_values_and_an_example(operator_client):
    assert custom_claims.MEANINGS.keys() == custom_claims.TEMPLATE.keys()
    for form in (address(Plan, "add"), address(Plan, "change", Plan.objects.first().pk)):
        html = operator_client.get(form).content.decode()
        rows = re.findall(
            r"<code>(\w+)</code></th>\s*<td[^>]*>([^<]+)</td>\s*<td[^>]*>([^<]+)", html
        )
        assert [(name, meaning) for name, meaning, _ in rows] == [
            (name, custom_claims.MEANINGS[name]) for name in custom_claims.NAMES
        ]
        assert {name: value for name, _, value in rows if name.startswith("option_")} == {
            "option_limit": "The same as argument_limit, which fills it in",
            "option_alias": "The same as argument_alias, which fills it in",
        }


def test_a_refused_plan_names_the_claim_and_opens_the_table(operator_client):
    claims = json.dumps({**custom_claims.TEMPLATE, "terminal_limit": -1, "extra": 1})
    add = f"{address(Plan, 'add')}?template=custom"
    response = save(operator_client, add, code="acme", name="Acme", custom_claims=claims)
    assert errors(response)["custom_claims"] == [
        "The claim extra is not one of a custom plan.",
        "The claim terminal_limit must be a whole number from 0 to 32767.",
    ]
    assert '<details class="card folded" open>' in response.content.decode()
