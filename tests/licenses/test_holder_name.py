"""The holder's name: which survive Generate into key, row and file, and which are refused."""

import json
import unicodedata

import pytest

from licenses.flows.download import download_key
from licenses.models import SigningKey, Slot
from portal.tenants.models import Tenant
from subscriptions.models import Subscription
from tests.support.factories import make_subscription
from tests.support.license_flows import ADA, NOW, claims_of, generated, refused

pytestmark = pytest.mark.django_db


@pytest.fixture
def subscription(contoso: Tenant) -> Subscription:
    return make_subscription(tenant=contoso, name="Production")


@pytest.mark.parametrize(
    "name",
    [
        "O’Neil & Sons <Ltd> \"Best\" \\ 'Co' +1",
        unicodedata.normalize("NFD", "Zoë Ångström"),
        "Лицензия",
        "Ελληνική λύση",
        "شركة التراخيص",
        "רישיון בע״מ",
        "株式会社ペルペチュアル・𠮷野家",
        unicodedata.normalize("NFD", "한국 라이선스"),
        "บริษัท ใบอนุญาต",
        "क्ष क्\u200dष क्\u200cष \u0958",
        "👩\u200d💻 Labs 🇩🇪",
        "  between blanks\t\n",
        "x" * 200,
        "e\u0301" * 200,
    ],
)
def test_a_name_survives_in_nfc(
    subscription: Subscription, signing_key: SigningKey, name: str
) -> None:
    kept = unicodedata.normalize("NFC", name).strip()
    license = generated(subscription, holder_name=name)
    license.refresh_from_db()
    claims = claims_of(license)
    file = download_key(license=license, slot=Slot.PRIMARY, actor=ADA, now=NOW)
    names = [license.holder_name, claims["name"], claims["aud"][0]]
    assert [*names, json.loads(file.content)["audience"]] == [kept] * 4


@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
        "-----BEGIN RSA PRIVATE" + " KEY-----",
        "ghp_" + "a1B2" * 9,
        "github_pat_" + "a1B2" * 9,
        "glpat-" + "a1B2" * 5,
        "sk_live" + "_4eC39HqLyjW",
        "sk-proj-" + "a1B2" * 9,
        "xoxb-" + "1234567890-abc",
        "AKIA" + "IOSFODNN7EXAMPLE",
        "AIza" + "a1B2-" * 7,
        "npm_" + "a1B2" * 9,
        "AGE-SECRET-KEY-1" + "QQQ",
    ],
)
def test_a_name_is_no_secret(
    subscription: Subscription, signing_key: SigningKey, secret: str
) -> None:
    assert refused(subscription, field="holder_name", holder_name=f"Contoso {secret}") == (
        "This looks like a secret. License keys are public: enter a name that everybody may "
        "read, and replace the secret if it was a real one."
    )


@pytest.mark.parametrize("name", ["Skyline sk live", "AKIA Furniture", "Eyjafjallajökull.is"])
def test_a_name_may_resemble_one(
    subscription: Subscription, signing_key: SigningKey, name: str
) -> None:
    assert generated(subscription, holder_name=name).holder_name == name


@pytest.mark.parametrize("name", ["", " \t\n", "\u00a0\u3000", "\u200b\u200d\ufeff", "\u202e"])
def test_a_name_is_not_blank(
    subscription: Subscription, signing_key: SigningKey, name: str
) -> None:
    assert refused(subscription, field="holder_name", holder_name=name) == (
        "Enter the holder's name; blanks alone are no name."
    )


@pytest.mark.parametrize(
    "between",
    ["\0", "\n", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ud800",
     *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"],
    ids=ascii,
)  # fmt: skip
def test_a_name_holds_no_control_character(
    subscription: Subscription, signing_key: SigningKey, between: str
) -> None:
    assert refused(subscription, field="holder_name", holder_name=f"Con{between}toso") == (
        "The name holds invisible control characters, maybe from copying. Type it by hand."
    )


@pytest.mark.parametrize("name", ["Con{toso", "Contoso}", "{", "{0}", "Zoë {{ Söhne }}"])
def test_a_name_has_no_braces(
    subscription: Subscription, signing_key: SigningKey, name: str
) -> None:
    assert refused(subscription, field="holder_name", holder_name=name) == (
        "Leave out the braces { and }: terminals of 2022 crash on a name that holds one."
    )


def test_a_name_is_no_address(subscription: Subscription, signing_key: SigningKey) -> None:
    tenant = "https://login.perpetualintelligence.com/x/v2.0"
    assert refused(subscription, field="holder_name", holder_name=tenant) == (
        "Enter a name, not an address: leave out “://”."
    )


@pytest.mark.parametrize(("name", "length"), [("x" * 201, 201), ("\u0958" * 101, 202)])
def test_a_name_has_200_characters_at_most(
    subscription: Subscription, signing_key: SigningKey, name: str, length: int
) -> None:
    assert refused(subscription, field="holder_name", holder_name=name) == (
        f"Use at most 200 characters for the holder's name; this has {length}."
    )
