"""Pages with secrets are kept by no cache, and no browser shows them on going back."""

import pytest
from django.urls import reverse

from portal.accounts.allauth_internals import TOTP
from tests.support.accounts import TOTP_SECRET, prove

pytestmark = pytest.mark.django_db


def is_kept_nowhere(answer):
    directives = {part.strip() for part in answer["Cache-Control"].split(",")}
    return answer.status_code == 200 and "no-store" in directives


def test_pages_with_the_secret_of_an_app_or_recovery_codes_are_kept_nowhere(owner, owner_client):
    set_up = reverse("mfa_activate_totp")
    page = owner_client.get(set_up)
    assert page.context["form"].secret in page.text
    assert is_kept_nowhere(page)
    assert is_kept_nowhere(owner_client.post(set_up, {"code": "000000"}))
    TOTP.activate(owner, TOTP_SECRET)
    prove(owner_client)
    owner_client.post(reverse("mfa_generate_recovery_codes"))
    page = owner_client.get(reverse("mfa_view_recovery_codes"))
    assert is_kept_nowhere(page)
    codes = page.context["unused_codes"]
    assert len(codes) == 10
    assert codes[0] in page.text
    assert is_kept_nowhere(owner_client.get(reverse("mfa_download_recovery_codes")))


def test_the_page_of_a_set_up_that_is_done_shows_no_secret_on_going_back(owner, owner_client):
    set_up = reverse("mfa_activate_totp")
    secret = owner_client.get(set_up).context["form"].secret
    TOTP.activate(owner, secret)
    prove(owner_client)
    answer = owner_client.get(set_up)
    assert answer.status_code == 302
    assert secret not in answer.text
