"""A custom plan starts from a template of its claims."""

from subscriptions import custom_claims
from subscriptions.models import Plan
from tests.support.admin_pages import address, save


def test_the_template_has_every_claim_and_is_accepted_as_it_is(operator_client):
    assert set(custom_claims.TEMPLATE) == set(custom_claims.NAMES)
    add = f"{address(Plan, 'add')}?template=custom"
    listed = operator_client.get(address(Plan, "changelist"))
    assert add in listed.content.decode()
    response = save(operator_client, add, code="acme-yearly", name="Acme")
    assert response.status_code == 302
    assert Plan.objects.get(code="acme-yearly").custom_claims == custom_claims.TEMPLATE
