"""A custom plan starts from a template of its claims."""

from subscriptions import custom_claims
from subscriptions.models import Plan
from tests.support.admin_pages import address, save


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
