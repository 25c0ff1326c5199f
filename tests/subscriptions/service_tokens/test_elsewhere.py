"""Service tokens stand in no address, in no text that others read, and in no log."""

import logging
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from licenses.holder_name import admit
from portal.accounts.passkeys import RenamePasskeyForm
from portal.core import email_addresses, names, token_format
from portal.core.refusal import Refused
from portal.operators.forms import ReasonForm
from portal.operators.pasted_keys import CREDENTIAL, KEY_IN_ADDRESS
from portal.server.log_lines import TextLines
from portal.webhooks.addresses import refuse_unusable
from subscriptions.models import Subscription
from subscriptions.service_tokens.forms import RevokeForm
from tests.support.factories import make_subscription

RAW = token_format.generate()
CUT = RAW[:30]
KEY = f"eyJ{'a' * 40}.eyJ{'b' * 60}.{'c' * 342}"


@pytest.mark.parametrize("text", [RAW, CUT, f"Berlin {RAW}!"], ids=["whole", "cut", "within"])
def test_no_name_label_note_or_reason_holds_one(text: str) -> None:
    with pytest.raises(ValidationError, match="holds a service token"):
        names.read(text, max_length=200)
    with pytest.raises(Refused, match="looks like a secret"):
        admit(text)
    assert [
        name for form in (RevokeForm, ReasonForm) for name in form({"reason": text}).errors
    ] == [
        "reason",
        "reason",
    ]
    assert names.read("The plt_ prefix", max_length=200) == "The plt_ prefix"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [(RAW, names.CREDENTIAL), (f"p%6ct_{RAW[4:]}", names.CREDENTIAL), (KEY, names.KEY)],
    ids=["token", "encoded token", "license key"],
)
def test_nothing_that_is_stored_holds_a_token_or_a_license_key(text: str, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        refuse_unusable(f"https://hook.example/in?t={text}")
    assert refused.value.sentence == sentence
    if "%" in text:
        return
    with pytest.raises(ValidationError) as invalid:
        names.read(text, max_length=None)
    assert invalid.value.messages == [sentence]
    assert ReasonForm({"reason": text}).errors["reason"] == [sentence]
    assert names.validate_no_credential in RenamePasskeyForm.base_fields["name"].validators


@pytest.mark.parametrize("text", [RAW, f"eyJ{'a' * 20}.eyJ{'b' * 20}"], ids=["token", "key"])
def test_no_email_address_holds_one(text: str) -> None:
    with pytest.raises(Refused, match="This holds a"):
        email_addresses.admitted(f"{text}@contoso.example")


@pytest.mark.django_db
class TestAddresses:
    @pytest.mark.parametrize("path", ["/subscriptions/", "/logs/", "/accounts/login/"])
    @pytest.mark.parametrize("query", [{"q": RAW}, {"next": f"/?a={CUT}"}])
    def test_a_page_is_asked_for_without_it(
        self, owner_client: Client, path: str, query: dict[str, str]
    ) -> None:
        answer = owner_client.get(path, query)
        assert (answer.status_code, answer["Location"]) == (302, path)
        assert [str(m) for m in get_messages(answer.wsgi_request)] == [CREDENTIAL]

    def test_neither_the_sign_in_page_nor_a_link_repeats_it(self, db: None) -> None:
        assert Client().get("/subscriptions/", {"q": RAW})["Location"] == "/subscriptions/"
        assert Client().get(f"/notifications/stop/{RAW}/")["Location"] == "/"

    def test_nor_a_license_key_when_nobody_is_signed_in(self, db: None) -> None:
        for query in ({"q": KEY}, {KEY: ""}, {"q": f"License-Key: {KEY}"}):
            answer = Client().get("/subscriptions/", query)
            assert (answer.status_code, answer["Location"]) == (302, "/subscriptions/")
            assert [str(m) for m in get_messages(answer.wsgi_request)] == [KEY_IN_ADDRESS]
        assert Client().get("/verify/", {"q": KEY}).status_code == 200

    def test_programs_are_told_where_it_belongs(self, db: None) -> None:
        addresses = (f"/api/v1/revoke?token={RAW}", f"/public/status?x={RAW}", f"/api/v1/{RAW}")
        answers = [Client().post(address) for address in addresses]
        assert [answer.status_code for answer in answers] == [400] * 3
        assert b"never belongs in one" in answers[0].content

    def test_a_form_shows_the_sentence(self, contoso: Any, owner_client: Client) -> None:
        subscription = make_subscription(tenant=contoso, name="Berlin")
        address = reverse("subscriptions:rename", args=[subscription.pk])
        assert owner_client.post(address, {"name": RAW}).status_code == 422
        assert Subscription.objects.get().name == "Berlin"


def test_no_line_of_the_log_holds_one() -> None:
    record = logging.LogRecord("portal", logging.INFO, "", 1, "Not Found: %s", (f"/x/{RAW}",), None)
    assert TextLines().format(record).endswith("Not Found: /x/(a token)")
