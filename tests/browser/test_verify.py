"""The page on which a browser verifies keys by itself, and what it sends meanwhile."""

import re
import secrets
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, Request, expect

from licenses.files import license_file
from licenses.flows.download import download_bundle
from licenses.flows.reset import Overlap, reset_key
from licenses.models import License, LicenseKey, Slot, StatusList
from portal.core.actors import SYSTEM
from tests.support.appearance import AWAIT_TRANSITIONS, faultless
from tests.support.factories import make_subscription
from tests.support.license_flows import generated
from tests.support.server import LivePortal

pytestmark = [pytest.mark.browser, pytest.mark.slow]

BUTTON = "Verify"
NUMBERS = count(1_000)


@pytest.fixture
def license(contoso: Any, signing_key: Any, live_portal: LivePortal, settings: Any) -> License:
    """A license whose keys are on a list of their own: the portal keeps a list for 15 seconds."""
    settings.PUBLIC_URL = live_portal.url
    StatusList.objects.create(number=next(NUMBERS), decoy_seed=secrets.token_bytes(32))
    return generated(make_subscription(tenant=contoso, name="Production"), now=timezone.now())


def key_of(license: License, slot: Slot = Slot.PRIMARY) -> LicenseKey:
    rows = license.keys.current().select_related("license__tenant", "signing_key")
    return rows.get(slot=slot)


def file_of(license: License) -> bytes:
    return license_file(key_of(license), subscription_name="Production").content


def upload(name: str, content: bytes) -> Any:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


def verify(page: Page, *, text: str = "", files: list[Any] | None = None) -> None:
    page.get_by_label("License key", exact=True).fill(text)
    page.get_by_label("License files, or an offline bundle").set_input_files(files or [])
    page.get_by_role("button", name=BUTTON).click()


def result(page: Page) -> Any:
    return page.get_by_role("status", name="Result")


def test_keys_files_and_bundles_are_verified_and_nothing_of_them_is_sent(
    open_page: Any, license: License, watch: Any
) -> None:
    watch.allow("ERR_INTERNET_DISCONNECTED")
    page: Page = open_page()
    requests: list[Request] = []
    page.context.on("request", lambda request: requests.append(request))
    page.goto("/results/revoked/")
    page.get_by_role("link", name="Verify a key in your browser").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Verify a license key")
    faultless(page, "verify")
    key, bundle = key_of(license), download_bundle(license=license, actor=SYSTEM).content
    requests.clear()

    page.get_by_label("License key", exact=True).focus()
    page.keyboard.insert_text(f'LICENSE_KEY="{key.token}"')
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=BUTTON)).to_be_focused()
    page.keyboard.press("Enter")
    expect(result(page)).to_contain_text("Accepted by the status list")
    expect(result(page)).to_contain_text("The license key is valid.")
    expect(result(page)).to_contain_text("By its status list, fetched just now from the portal.")
    expect(result(page)).to_contain_text(str(license.subscription_id))
    page.get_by_text("Steps of the check").click()
    address = f"{page.url.removesuffix('/verify/')}/public/status/{key.status_list.number}"
    assert [(request.method, request.url) for request in requests] == [("GET", address)]
    parts = str(key.token).split(".")
    for request in requests:
        sent = f"{request.url} {request.all_headers()} {request.post_data}"
        assert not any(part in sent for part in [*parts, str(key.jti)])

    reset_key(
        license=license, slot=Slot.PRIMARY, actor=SYSTEM, overlap=Overlap.NOW, expected_jti=key.jti
    )
    requests.clear()
    page.context.set_offline(True)
    verify(page, files=[upload("bundle.zip", bundle)])
    expect(result(page)).to_contain_text("The portal signed this bundle")
    expect(result(page)).to_contain_text("The bundle is less than a minute old")
    expect(result(page).get_by_role("heading")).to_have_text(
        ["license-primary.json", "license-secondary.json"]
    )
    expect(result(page).get_by_text("Accepted by the status list")).to_have_count(2)
    faultless(page, "bundle, wide and light")
    page.set_viewport_size({"width": 320, "height": 640})
    page.emulate_media(color_scheme="dark")
    page.evaluate(AWAIT_TRANSITIONS)
    faultless(page, "bundle, narrow and dark")
    verify(page, text=str(key.token))
    expect(result(page)).to_contain_text("Signature valid, revocation unknown")
    expect(result(page)).to_contain_text("could not be fetched")
    expect(result(page).locator('[data-tone="good"]')).to_have_count(0)
    requests.clear()
    verify(page, text=str(key.token).rpartition(".")[0])
    expect(result(page)).to_contain_text("result: malformed")
    verify(page, files=[upload("bundle.zip", bundle[:-9])])
    expect(result(page)).to_contain_text("Not verified")
    assert requests == []
    page.context.set_offline(False)


DROP = """([name, text]) => {
  const dataTransfer = new DataTransfer();
  if (name) dataTransfer.items.add(new File([text], name));
  else dataTransfer.setData("text/plain", text);
  const options = { bubbles: true, cancelable: true, dataTransfer };
  const heading = document.querySelector("h1");
  return ["dragover", "drop"].map((type) => !heading.dispatchEvent(new DragEvent(type, options)));
}"""
"""Drops a file, or text, onto the heading; returns whether the page took it from the browser."""

BREAK = "() => { crypto.subtle.importKey = () => Promise.reject(Error('a broken browser')) }"


def test_a_file_may_be_dropped_anywhere_and_a_crash_leaves_no_empty_box(
    open_page: Any, license: License, watch: Any
) -> None:
    page = open_page()
    page.goto("/verify/")
    assert page.evaluate(DROP, ["", "only text"]) == [True, False]
    assert page.evaluate(DROP, ["dropped.json", file_of(license).decode()]) == [True, True]
    button = page.get_by_role("button", name=BUTTON)
    button.click()
    expect(result(page)).to_contain_text("Accepted by the status list")

    watch.allow("a broken browser")
    page.evaluate(BREAK)
    button.click()
    expect(result(page)).to_contain_text("This page failed before it had a result. Reload it")
    expect(result(page)).not_to_contain_text("result: valid")
    expect(result(page)).not_to_have_attribute("aria-busy", "true")
    expect(button).to_be_enabled()


@pytest.mark.sweep
def test_a_key_that_its_list_refuses_may_be_one_of_these(open_page: Any, license: License) -> None:
    file, old = file_of(license), key_of(license)
    reset_key(
        license=license, slot=Slot.PRIMARY, actor=SYSTEM, overlap=Overlap.NOW, expected_jti=old.jti
    )
    page = open_page()
    page.goto("/verify/")
    verify(page, text=str(old.token), files=[upload("old.json", file)])
    expect(result(page).get_by_role("heading")).to_have_text(["The pasted key", "old.json"])
    expect(result(page).get_by_text("Refused by the status list")).to_have_count(2)
    for word in ("deleted", "revoked", "replaced", "subscription_ended"):
        expect(result(page).locator(f'a[href="/results/{word}/"]')).to_have_count(2)
    bundle = download_bundle(license=license, actor=SYSTEM).content
    verify(page, text=str(old.token), files=[upload("news.zip", bundle)])
    expect(result(page)).to_contain_text("Refused by the status list")
    expect(result(page)).to_contain_text("As of ")


def test_without_javascript_the_page_says_what_it_needs_and_what_else_there_is(
    open_page: Any, license: License
) -> None:
    page = open_page(javascript=False, width=320)
    page.goto("/verify/")
    expect(page.get_by_text("This page needs JavaScript")).to_be_visible()
    expect(page.get_by_role("link", name="Open your subscriptions")).to_be_visible()
    expect(page.get_by_role("button", name=BUTTON)).to_be_hidden()


@pytest.mark.sweep
def test_a_saved_page_verifies_a_bundle_from_a_disk(
    open_page: Any, license: License, tmp_path: Path, watch: Any
) -> None:
    watch.allow(r"icons\.\w+\.svg")  # which a saved page does not have
    page = open_page()
    page.goto("/verify/")
    html = page.content()
    for name in ("verifier", "verify"):
        [source] = re.findall(rf'src="([^"]*/js/{name}\.[^"]*js)"', html)
        html = html.replace(source, f"{name}.js")
        (tmp_path / f"{name}.js").write_bytes(page.request.get(source).body())
    html = re.sub(r'<(script|link)[^>]*"/static/[^>]*>(</script>)?', "", html)
    (tmp_path / "saved.html").write_text(html, "utf-8")
    bundle = download_bundle(license=license, actor=SYSTEM).content
    page.goto((tmp_path / "saved.html").as_uri())
    verify(page, files=[upload("bundle.zip", bundle)])
    expect(result(page).get_by_text("Accepted by the status list")).to_have_count(2)
