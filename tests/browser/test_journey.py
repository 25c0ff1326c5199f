"""The whole way of a customer, with JavaScript and without: same steps, same messages."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from licenses.models import License, LicenseKey, Slot
from subscriptions.models import State, Subscription
from tests.support.accounts import PASSWORD
from tests.support.factories import make_subscription
from tests.support.scenes import address, current, dialog, expect_message

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CLIPBOARD = ["clipboard-read", "clipboard-write"]
SECRET = "ghp_abcdefghijklmnopqrst0123456789"
NAME = "Partner toolkit"
ALL_PASSED = ["Form", "Signature", "Request", "Record", "License key", "Subscription", "Time"]


class Customer:
    """Does one step of the journey after the other."""

    def __init__(self, page: Page, subscription: Subscription, *, javascript: bool) -> None:
        self.page, self.subscription, self.javascript = page, subscription, javascript

    def follow(self, name: str) -> None:
        """Follow a link of the subscription's page: into a dialog, or to a page of its own."""
        self.page.goto(address(self.subscription))
        self.page.get_by_role("link", name=name, exact=True).click()
        expect(dialog(self.page)).to_be_visible()
        expect(self.page.locator("dialog[open]")).to_have_count(1 if self.javascript else 0)

    def press(self, name: str) -> None:
        dialog(self.page).get_by_role("button", name=name, exact=True).click()

    def choose(self, name: str) -> None:
        dialog(self.page).get_by_role("radio", name=name).check()

    def sees_verdict(self, result: str) -> list[str]:
        """Expect the result in the live region; return the steps that passed."""
        region = dialog(self.page).get_by_role("status").filter(has_text="result:")
        expect(region.locator(".notice-title code")).to_have_text(result)
        region.get_by_text("Steps of the check").click()
        expect(region.get_by_role("listitem")).to_have_count(8)
        steps = region.locator("[data-outcome=passed] > span:not(.muted)")
        return steps.all_inner_texts()

    def pastes(self, text: str, *, result: str, has_keys: bool = True) -> None:
        self.follow("Check…" if has_keys else "Check a pasted key or file…")
        if has_keys:
            dialog(self.page).get_by_role("link", name="Pasted key or file").click()
        dialog(self.page).get_by_label("License key", exact=True).fill(text)
        self.press("Check license key")
        self.sees_verdict(result)

    def signs_in(self, email: str) -> None:
        self.page.goto("/")
        self.page.get_by_label("Email").fill(email)
        self.page.get_by_label("Password", exact=True).fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in", exact=True).click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Subscriptions")

    def activates(self) -> None:
        self.page.get_by_role("link", name=NAME).click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text(NAME)
        expect(self.page.get_by_role("link", name="Generate")).to_have_count(0)
        self.page.get_by_role("button", name="Activate my Subscription").click()
        expect_message(
            self.page, "The subscription is active. You can generate its license keys now."
        )
        expect(self.page.locator(".page-head .badge")).to_have_text("No keys")

    def generates(self) -> None:
        self.follow("Generate")
        holder = self.page.locator("#id_holder_name")
        label = self.page.locator("label[for=id_holder_name]")
        expect(label).to_have_text("Organization or Business Name")
        expect(holder).to_have_value("Contoso")
        self.choose("Personal")
        if self.javascript:
            expect(label).to_have_text("Full name")
            expect(holder).to_have_value("Owner")
        holder.fill(SECRET)
        self.press("Generate license keys")
        expect(self.page.locator("#id_holder_name_error")).to_have_text(
            "This looks like a secret. License keys are public: enter a name that everybody may "
            "read, and replace the secret if it was a real one."
        )
        expect(holder).to_have_value(SECRET)
        expect(dialog(self.page).get_by_role("radio", name="Personal")).to_be_checked()
        expect(label).to_have_text("Full name")
        self.choose("Organizational")
        holder.fill("Contoso Café Ltd")
        self.press("Generate license keys")
        expect_message(
            self.page,
            "Both license keys were generated. Download one, and configure your terminal with "
            "the authorized application id.",
        )
        expect(self.page.locator("article.key .badge")).to_have_text(["Valid", "Valid"])

    def copies(self, name: str, value: str) -> None:
        """Press a copy button: without JavaScript there is none."""
        button = self.page.locator(f'[aria-label="Copy {name}"]')
        if not self.javascript:
            expect(button).to_be_hidden()
            return
        button.click()
        expect(self.page.locator("#live")).to_have_text(f"{name.capitalize()} copied")
        assert self.page.evaluate("navigator.clipboard.readText()") == value

    def configures(self, license: License) -> None:
        """Read the options of the terminal's generation; with JavaScript, copy them."""
        self.page.wait_for_load_state("networkidle")  # what is swapped in is open as before
        self.page.get_by_text("Configure your terminal", exact=True).click()
        self.page.get_by_text("Terminals of 2023-03").click()
        expect(self.page.locator("details[name=generation][open]")).to_have_count(0)
        self.page.get_by_text("Terminals of 2022-09").click()
        self.page.get_by_text("Terminals of 2023-03").click()
        expect(self.page.locator("details[name=generation][open]")).to_have_count(1)
        always = [
            f'options.Licensing.AuthorizedApplicationId = "{license.authorized_application_id}";',
            f'options.Licensing.Subject = "{self.subscription.pk}";',
            f'options.Licensing.ConsumerTenantId = "{self.subscription.tenant_id}";',
            'options.Licensing.LicenseKey = "Partner-toolkit-primary.json";',
        ]
        handler = 'options.Handler.LicenseHandler = "offline";'
        options = self.page.get_by_role("list", name="Options, 2023-03 offline")
        expect(options.locator("code")).to_have_text([*always, handler])
        name = "LicenseHandler, 2023-03 offline"
        button = self.page.get_by_role("button", name=f"Copy {name}", exact=True)
        all_lines = self.page.get_by_role("button", name="Copy all lines, 2023-03 offline")
        if not self.javascript:
            expect(button).to_have_count(0)
            expect(all_lines).to_have_count(0)
            return
        button.click()
        expect(self.page.locator("#live")).to_have_text(f"{name} copied")
        assert self.page.evaluate("navigator.clipboard.readText()") == handler
        all_lines.click()
        expect(self.page.locator("#live")).to_have_text("All lines, 2023-03 offline, copied")
        copied = self.page.evaluate("navigator.clipboard.readText()")
        assert copied.splitlines() == [*always, handler]

    def downloads(self, slot: Slot, folder: Path) -> Path:
        with self.page.expect_download() as download:
            self.page.get_by_role("link", name=f"Download {slot.label}").click()
        assert download.value.suggested_filename == f"Partner-toolkit-{slot.value}.json"
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path

    def checks(self, slot: Slot) -> None:
        self.page.goto(address(self.subscription))
        self.page.get_by_role("button", name=f"Check {slot.label}", exact=True).click()
        expect(
            dialog(self.page).get_by_role("button", name=f"Check {slot.other.label}")
        ).to_be_visible()
        assert self.sees_verdict("valid") == ALL_PASSED
        self.follow("Check…")
        self.choose(slot.label)
        self.press("Check license key")
        assert self.sees_verdict("valid") == ALL_PASSED

    def uploads(self, path: Path) -> None:
        self.follow("Check…")
        dialog(self.page).get_by_role("link", name="Pasted key or file").click()
        dialog(self.page).get_by_label("Or a license file").set_input_files(path)
        self.press("Check license key")
        assert self.sees_verdict("valid") == [*ALL_PASSED[:4], "Slot", *ALL_PASSED[4:]]

    def inspects(self, key: LicenseKey) -> None:
        self.follow(f"Inspect Claims of {Slot(key.slot).label}")
        expect(dialog(self.page).get_by_role("heading", level=1)).to_have_text(
            f"Claims of the {key.slot} key"
        )
        row = dialog(self.page).get_by_role("row").filter(has_text="Your subscription")
        expect(row.get_by_role("cell").first).to_have_text(str(self.subscription.pk))
        raw = json.loads(dialog(self.page).locator("#raw-claims").inner_text())
        assert raw["payload"]["jti"] == str(key.jti)
        dialog(self.page).get_by_role("link", name="Close").click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text(NAME)

    def resets(self, slot: Slot, overlap: str) -> None:
        self.follow(f"Reset {slot.label}…")
        self.choose(overlap)
        self.press(f"Reset {slot.label} key")
        expect_message(self.page, f"The {slot.label.lower()} key was reset.")

    def stops_the_old_key(self, slot: Slot) -> None:
        self.follow("Stop the old key now…")
        self.press("Stop the old key now")
        expect_message(self.page, f"The old {slot.label.lower()} key is refused from now on.")
        expect(self.page.get_by_text("The old key works too")).to_have_count(0)

    def deletes(self) -> None:
        self.follow("Delete license keys…")
        field = dialog(self.page).get_by_label(f"To confirm, type {NAME}", exact=True)
        field.fill("partner toolkit")
        self.press("Delete license keys")
        expect(dialog(self.page).locator(".error")).to_have_text(
            f"That does not match. Type {NAME} as it is written here."
        )
        expect(field).to_have_value("partner toolkit")
        field.fill(NAME)
        self.press("Delete license keys")
        expect_message(
            self.page,
            "Both license keys were deleted. The subscription stays: generate new keys to start "
            "its terminals again.",
        )
        expect(self.page.get_by_role("link", name="Generate", exact=True)).to_be_visible()

    def renames(self) -> None:
        self.follow("Rename…")
        dialog(self.page).get_by_label("Name", exact=True).fill("Kiosk fleet")
        self.press("Rename subscription")
        expect_message(self.page, "The subscription was renamed.")
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Kiosk fleet")

    def logs_out(self) -> None:
        self.page.locator("details.menu summary").click()
        self.page.get_by_role("button", name="Log out").click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Sign in")
        self.page.goto(address(self.subscription))
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Sign in")


def openssl(*arguments: str | Path) -> bytes:
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout


def verified_by_openssl(path: Path) -> dict[str, Any]:
    """Verify the key of a license file with the certificate inside it; return the claims."""
    file = json.loads(path.read_text("utf-8"))
    signed, _, signature = file["key"].rpartition(".")
    certificate, public = path.with_suffix(".der"), path.with_suffix(".pub")
    certificate.write_bytes(base64.b64decode(file["validation_key"]))
    public.write_bytes(openssl("x509", "-inform", "DER", "-in", certificate, "-pubkey", "-noout"))
    path.with_suffix(".sig").write_bytes(base64.urlsafe_b64decode(signature + "=="))
    path.with_suffix(".txt").write_text(signed)
    answer = openssl(
        "dgst",
        *("-sha256", "-verify", public),
        *("-signature", path.with_suffix(".sig"), path.with_suffix(".txt")),
    )
    assert answer == b"Verified OK\n"
    return json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))


@pytest.mark.parametrize(
    "javascript",
    [
        pytest.param(True, id="with JavaScript"),
        pytest.param(False, id="without", marks=pytest.mark.sweep),
    ],
)
def test_a_customer_gets_through_all_steps(
    javascript, open_page, owner, contoso, signing_key, tmp_path
):
    subscription = make_subscription(
        tenant=contoso, name=NAME, plan="isvu-monthly", state=State.PENDING
    )
    page = open_page(javascript=javascript, permissions=CLIPBOARD)
    customer = Customer(page, subscription, javascript=javascript)

    customer.signs_in(owner.email)
    customer.activates()
    customer.generates()
    license = License.objects.get(subscription=subscription)
    first, second = current(subscription, "primary"), current(subscription, "secondary")
    customer.copies("authorized application id", str(license.authorized_application_id))
    customer.copies("primary license key", first.token)
    customer.configures(license)

    files = {slot: customer.downloads(slot, tmp_path) for slot in Slot}
    assert {slot: verified_by_openssl(file)["jti"] for slot, file in files.items()} == {
        Slot.PRIMARY: str(first.jti),
        Slot.SECONDARY: str(second.jti),
    }
    for slot in Slot:
        customer.checks(slot)
    customer.pastes(first.token, result="valid")
    customer.uploads(files[Slot.SECONDARY])
    customer.inspects(first)

    customer.resets(Slot.SECONDARY, "In 24 hours")
    customer.pastes(second.token, result="superseded")
    customer.stops_the_old_key(Slot.SECONDARY)
    customer.pastes(second.token, result="replaced")
    customer.resets(Slot.PRIMARY, "Now")
    customer.pastes(first.token, result="replaced")
    newest = current(subscription, "secondary").token
    customer.pastes(newest, result="valid")

    customer.deletes()
    customer.pastes(newest, result="deleted", has_keys=False)
    customer.renames()
    customer.logs_out()
