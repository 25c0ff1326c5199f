"""The license file: its members, its name, what verifies it, and how one is read back."""

import base64
import json
import shutil
import subprocess
import unicodedata
from datetime import timedelta
from email import message_from_string
from email.utils import collapse_rfc2231_value
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from licenses.files import LicenseFile, file_name, read_presented
from licenses.flows.download import download_key
from licenses.models import License, LicenseKey, SigningKey, Slot, Usage
from licenses.tokens import Malformed, parse
from portal.core.refusal import Refused
from portal.tenants.models import Tenant
from subscriptions.models import Subscription
from tests.support.factories import make_subscription
from tests.support.license_flows import ADA, DAY, NOW, WHOLE, after_reset, generated


@pytest.fixture
def license(contoso: Tenant, signing_key: SigningKey) -> License:
    return generated(make_subscription(tenant=contoso, name="Production"), holder_name="Zoë & Co")


def downloaded(license: License, slot: Slot = Slot.PRIMARY) -> bytes:
    return download_key(license=license, slot=slot, actor=ADA, now=NOW).content


def members(license: License, slot: Slot = Slot.PRIMARY) -> dict[str, Any]:
    found = json.loads(downloaded(license, slot))
    assert isinstance(found, dict)
    return found


@pytest.mark.django_db
class TestMembers:
    @pytest.mark.parametrize("slot", Slot)
    def test_are_those_of_the_contract(
        self, license: License, contoso: Tenant, signing_key: SigningKey, slot: Slot
    ) -> None:
        assert members(license, slot) == {
            "key": license.keys.get(slot=slot).token,
            "key_type": f"{slot.value}_key",
            "subject": str(license.subscription_id),
            "consumer_tenant_id": str(contoso.pk),
            "consumer_tenant_name": "Contoso",
            "authorized_party": "urn:oneimlx:cli",
            "broker_id": "urn:oneimlx:lic:pvdr:pi",
            "provider_id": "urn:oneimlx:lic:pvdr:pi",
            "expires_in": 31,
            "validation_key": base64.b64encode(bytes(signing_key.certificate)).decode(),
            "audience": "Zoë & Co",
            "tenant_country": "USA",
            "authorized_application_ids": [str(license.authorized_application_id)],
            "usage": "urn:oneimlx:lic:usage:org",
            "plan": "urn:oneimlx:lic:plan:smb",
            "issued_at": f"{WHOLE:%Y-%m-%dT%H:%M:%S}+00:00",
            "expires_at": f"{WHOLE + 31 * DAY:%Y-%m-%dT%H:%M:%S}+00:00",
        }

    def test_have_the_types_that_terminals_read(self, license: License) -> None:
        types = {name: type(value) for name, value in members(license).items()}
        others = {name: kind for name, kind in types.items() if kind is not str}
        assert others == {"expires_in": int, "authorized_application_ids": list}

    def test_are_utf_8_without_byte_order_mark(self, license: License) -> None:
        content = downloaded(license)
        assert content[:2] == b"{\n"
        assert '"audience": "Zoë & Co"' in content.decode("utf-8")

    @pytest.mark.parametrize(
        ("left", "days"),
        [
            (timedelta(seconds=1), 1),
            (5 * DAY, 5),
            (5 * DAY + timedelta(seconds=1), 6),
            (31 * DAY - timedelta(seconds=1), 31),
            (40 * DAY, 31),
        ],
    )
    def test_round_days_up(
        self, contoso: Tenant, signing_key: SigningKey, left: timedelta, days: int
    ) -> None:
        subscription = make_subscription(tenant=contoso, ends_at=WHOLE + left)
        assert members(generated(subscription))["expires_in"] == days

    @pytest.mark.parametrize(("plan", "days"), [("community", 90), ("smb-yearly", 365)])
    def test_name_usage_and_days_of_the_plan(
        self, contoso: Tenant, signing_key: SigningKey, plan: str, days: int
    ) -> None:
        usage = Usage.RESEARCH if plan == "community" else Usage.PERSONAL
        found = members(generated(make_subscription(tenant=contoso, plan=plan), usage=usage))
        assert (found["usage"], found["expires_in"]) == (f"urn:oneimlx:lic:usage:{usage}", days)

    def test_name_the_tenant_as_it_is_now(self, license: License) -> None:
        Tenant.objects.update(name="Contoso Größe 大")
        assert members(License.objects.get())["consumer_tenant_name"] == "Contoso Größe 大"

    def test_are_of_the_current_key(self, license: License) -> None:
        new = after_reset(license, now=NOW)
        assert members(license)["key"] == LicenseKey.objects.get(pk=new.pk).token


@pytest.mark.django_db
class TestCertificate:
    def openssl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = shutil.which("openssl")
        assert command, "these tests need the openssl command line"
        return subprocess.run([command, *arguments], capture_output=True, text=True)

    def verified(self, found: dict[str, Any], folder: Path, key: str) -> str:
        """Return what OpenSSL says about the key, by the certificate of the file alone."""
        certificate, public, signature = (folder / name for name in ("der", "pem", "signature"))
        certificate.write_bytes(base64.b64decode(found["validation_key"], validate=True))
        told = self.openssl("x509", "-inform", "DER", "-in", str(certificate), "-pubkey", "-noout")
        public.write_text(told.stdout)
        signed, _, encoded = key.rpartition(".")
        signature.write_bytes(base64.urlsafe_b64decode(encoded + "=="))
        (folder / "signed").write_text(signed)
        return self.openssl(
            "dgst", "-sha256", "-verify", str(public), "-signature", str(signature),
            str(folder / "signed"),
        ).stdout.strip()  # fmt: skip

    @pytest.mark.parametrize("slot", Slot)
    def test_verifies_the_key_by_openssl(
        self, license: License, tmp_path: Path, slot: Slot
    ) -> None:
        found = members(license, slot)
        assert self.verified(found, tmp_path, found["key"]) == "Verified OK"
        header, _, rest = found["key"].partition(".")
        tampered = f"{header}.{'f' if rest[0] != 'f' else 'e'}{rest[1:]}"
        assert self.verified(found, tmp_path, tampered) == "Verification failure"

    def test_is_public_and_outlasts_the_key(self, license: License) -> None:
        der = base64.b64decode(members(license)["validation_key"], validate=True)
        certificate = x509.load_der_x509_certificate(der)
        assert certificate.public_bytes(Encoding.DER) == der  # and nothing behind it
        key = license.keys.get(slot=Slot.PRIMARY)
        assert certificate.not_valid_before_utc < key.issued_at
        assert certificate.not_valid_after_utc > key.expires_at


class TestName:
    @pytest.mark.parametrize(
        ("subscription", "whole", "plain"),
        [
            ("Production", "Production", "Production"),
            ("Zoë’s Büro", "Zoë-s-Büro", "Zoe-s-Buro"),
            (unicodedata.normalize("NFD", "Büro"), "Büro", "Buro"),
            ("株式会社", "株式会社", "license"),
            ("คลาวด์", "คลาวด์", "license"),
            ("🚀", "license", "license"),
            ("", "license", "license"),
            ("...", "license", "license"),
            (".hidden", "hidden", "hidden"),
            ("../../etc/passwd", "etc-passwd", "etc-passwd"),
            ("C:\\Windows\\x", "C-Windows-x", "C-Windows-x"),
            ('a"b;c%d*e?f<g>h|i\r\nj', "a-b-c-d-e-f-g-h-i-j", "a-b-c-d-e-f-g-h-i-j"),
            ("gpj\u202eexe", "gpj-exe", "gpj-exe"),
            ("nul", "license-nul", "license-nul"),
            ("CON", "license-CON", "license-CON"),
            ("Com1", "license-Com1", "license-Com1"),
            ("LPT9", "license-LPT9", "license-LPT9"),
            ("Console", "Console", "Console"),
            ("ＮＵＬ", "ＮＵＬ", "license-NUL"),  # noqa: RUF001 (full width)
            ("x" * 300, "x" * 87, "x" * 87),
            ("é" * 300, "é" * 87, "e" * 87),
            ("ﬃ" * 40, "ﬃ" * 40, "ffi" * 29),
            ("ﬃ" * 300, "ﬃ" * 80, "ffi" * 29),  # three bytes each
            ("𠮷" * 90, "𠮷" * 60, "license"),
        ],
        ids=lambda text: ascii(text)[:20],
    )
    def test_is_one_that_every_browser_and_system_takes(
        self, subscription: str, whole: str, plain: str
    ) -> None:
        name = file_name(subscription, Slot.PRIMARY)
        assert name == f"{whole}-primary.json"
        names = self.header_names(name)
        expected = [("filename", f"{plain}-primary.json")]
        if whole != plain:
            expected.append(("filename*", f"{whole}-primary.json"))
        assert names == expected
        assert max(len(value) for _, value in names) <= 100
        assert max(len(value.encode()) for _, value in names) <= 255

    def test_tells_the_slot(self) -> None:
        assert file_name("x" * 300, Slot.SECONDARY) == "x" * 85 + "-secondary.json"

    def header_names(self, name: str) -> list[tuple[str, str]]:
        """Return the names in the header, in order, as Python's parser of e-mail reads them."""
        header = LicenseFile(name=name, content=b"").disposition
        assert header.isascii()
        written = [part.strip().partition("=")[0] for part in header.split(";")[1:]]
        message = message_from_string(f"Content-Disposition: {header}\n\n")
        params = message.get_params(header="content-disposition") or []
        assert params[0] == ("attachment", "")
        values = [collapse_rfc2231_value(value) for _, value in params[1:]]
        return list(zip(written, values, strict=True))


class TestReadPresented:
    @pytest.mark.parametrize("text", ["a.b.c", " \r\n a.b.c\n", "\ufeffa.b.c"])
    def test_a_bare_key_has_no_members(self, text: str) -> None:
        assert read_presented(text) == ("a.b.c", None)

    @pytest.mark.parametrize(
        "text",
        [
            "Bearer a.b.c",
            "bearer   a.b.c\n",
            "Authorization: Bearer a.b.c",
            "LICENSE_KEY=a.b.c",
            'LICENSE_KEY="a.b.c"',
            "export LICENSE_KEY='a.b.c'",
            '$env:LICENSE_KEY = "a.b.c";',
            "set license-key=a.b.c",
            "key: a.b.c",
            '  "key": "a.b.c",',
            "'a.b.c'",
            "`a.b.c`",
            "“a.b.c”",
            "„a.b.c“",
            "«a.b.c»",
            '"Bearer a.b.c"',
            "a.\n  b\r\n.c",
            "a. b\t.c",
            "\u200ba\u200b.b\u2060.\u200dc\ufeff",
            "Bearer\u200b a.b.c",
            'options.Licensing.LicenseKey = "a.b.c";',
            "a.\u034fb.\ufe0fc",
            "a.\\\n  b.\\\r\n  c",
            "> a.\n> b.\n> c",
            '"a." +\n    "b." +\n    "c"',
            "LICENSE=\n  a.b.\n  c",
            "\u2039a.b.c\u203a",
            "<a.b.c>",
            "a.b\u00ad.c",
            "a.b.\u2028c",
        ],
        ids=ascii,
    )
    def test_a_bare_key_comes_without_what_was_copied_around_it(self, text: str) -> None:
        assert read_presented(text) == ("a.b.c", None)

    @pytest.mark.parametrize(
        "text", ["eyJ=\r\na.=\r\nb.c", "LICENSE=eyJ=\na.b=\n.c", "eyJa.=\nb.c\n"]
    )
    def test_a_key_in_quoted_printable_is_put_together(self, text: str) -> None:
        assert read_presented(text) == ("eyJa.b.c", None)

    @pytest.mark.parametrize(
        "text", ["a.b.c=", "a=.b.c", "a.b=.c", "a.b.c.d", "{a.b.c", "a+b.c/d.e", "a.b\0.c"]
    )
    def test_what_is_wrong_with_a_key_stays_wrong(self, text: str) -> None:
        try:
            key, _ = read_presented(text)
        except Refused:
            return
        with pytest.raises(Malformed):
            parse(key)

    def test_long_nonsense_is_read_at_once(self) -> None:
        assert len(read_presented("a=" * 32_000 + "x")[0]) > 60_000
        assert read_presented("a.b.c==") == ("a.b.c==", None)

    def test_a_file_in_quotes_is_a_file(self) -> None:
        assert read_presented("""LICENSE='{"key": "a.b.c"}'""") == ("a.b.c", {})

    def test_the_key_of_a_file_is_read_as_terminals_read_it(self) -> None:
        assert read_presented('{"key": "Bearer a.b.c"}') == ("Bearer a.b.c", {})

    @pytest.mark.django_db
    @pytest.mark.parametrize("before", ["", "\ufeff", "\r\n  "])
    def test_a_file_comes_without_its_certificate(self, license: License, before: str) -> None:
        found = members(license)
        key, others = read_presented(before + downloaded(license).decode())
        assert key == found.pop("key")
        del found["validation_key"]
        assert others == found

    def test_a_file_with_nothing_but_the_key_is_still_a_file(self) -> None:
        assert read_presented('{"key": "a.b.c"}') == ("a.b.c", {})

    @pytest.mark.parametrize(
        "text", ["{", "{'key': 'a.b.c'}", '{"key": "a.b.c"} x', '{"key":' * 100_000, '{"a": 1,}']
    )
    def test_broken_json_is_refused(self, text: str) -> None:
        with pytest.raises(Refused) as refusal:
            read_presented(text)
        assert refusal.value.sentence == (
            "This is not a license file: it is not valid JSON. Upload the file as it was "
            "downloaded."
        )

    @pytest.mark.parametrize("text", ["{}", '{"key": null}', '{"key": 1}', '{"key": ["a.b.c"]}'])
    def test_a_file_without_key_is_refused(self, text: str) -> None:
        with pytest.raises(Refused) as refusal:
            read_presented(text)
        assert refusal.value.sentence == 'This is not a license file: it has no text member "key".'


@pytest.mark.django_db
def test_a_file_is_named_after_its_subscription(license: License) -> None:
    Subscription.objects.update(name="Büro 7")
    file = download_key(license=license, slot=Slot.SECONDARY, actor=ADA, now=NOW)
    assert file.name == "Büro-7-secondary.json"
    assert file.disposition == (
        'attachment; filename="Buro-7-secondary.json"; '
        "filename*=UTF-8''B%C3%BCro-7-secondary.json"
    )
