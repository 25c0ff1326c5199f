"""Public pages about the results of a check: what each means, and what to do."""

from dataclasses import dataclass
from itertools import groupby

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from licenses.checking.results import Result


class ResultConverter:
    """A result in an address, such as `revoked`."""

    regex = "|".join(Result.values)

    def to_python(self, value: str) -> Result:
        """Return the result with that value."""
        return Result(value)

    def to_url(self, value: str) -> str:
        """Return the value of the result."""
        return Result(value).value


@dataclass(frozen=True)
class Guide:
    """What to do about a result: steps in their order, and the page where the first is done."""

    steps: tuple[str, ...]
    place: str = "subscriptions"


_INSTALL = "Download the new license file, and put it where the terminal reads it."
_START = "Start the terminal again."
_SAME_FILE = "Put it where the terminal reads it, whole and unchanged; take no member from another."
_DOWNLOAD = "Open the terminal’s subscription and download the license file again."

GUIDES = {
    Result.VALID: Guide(
        (
            "There is nothing to do now.",
            "Before keys expire, owners and managers get a mail that says what to do.",
        )
    ),
    Result.SUPERSEDED: Guide(
        (
            "Open the terminal’s subscription: its card says until when the old key is accepted.",
            "Download the new license file of this slot.",
            "Install it on every terminal that still has the old one, before that time.",
        )
    ),
    Result.MALFORMED: Guide(
        (
            "A key has three parts with two dots, and no blank: look what the terminal sends.",
            "Copy the whole key, or download the license file again.",
            _START,
        )
    ),
    Result.SIGNING_KEY_UNKNOWN: Guide(
        (
            "Make sure that the license file is from this portal, not from a demonstration.",
            "Open the terminal’s subscription. If the file is from there, reset its slot.",
            _INSTALL,
            _START,
        )
    ),
    Result.SIGNATURE_INVALID: Guide(
        (
            "Do not edit a key or its file: one changed character makes it invalid.",
            _DOWNLOAD,
            "Put it where the terminal reads it. If it is refused again, reset the slot.",
        )
    ),
    Result.ISSUER_MISMATCH: Guide(
        (
            "Open the terminal’s subscription and choose Inspect Claims: iss is the issuer.",
            "Set the terminal’s issuer to exactly this value.",
            _START,
        )
    ),
    Result.TENANT_MISMATCH: Guide(
        (
            "Open Identifiers and copy the consumer tenant id.",
            "Set it in the terminal, or give the terminal a license file of this tenant.",
            _START,
        ),
        "identifiers",
    ),
    Result.SUBJECT_MISMATCH: Guide(
        (
            "Open Identifiers and copy the subject of the terminal’s subscription.",
            "Set it in the terminal, or download the license file of the subscription that is set.",
            _START,
        ),
        "identifiers",
    ),
    Result.PARTY_MISMATCH: Guide((_DOWNLOAD, _SAME_FILE, _START)),
    Result.PROVIDER_MISMATCH: Guide((_DOWNLOAD, _SAME_FILE, _START)),
    Result.AUDIENCE_MISMATCH: Guide(
        (
            "Open the terminal’s subscription: Inspect Claims shows the holder’s name as name.",
            "Set the terminal’s audience to exactly this name, or leave it out.",
            _START,
        )
    ),
    Result.APPLICATION_NOT_AUTHORIZED: Guide(
        (
            "Open Identifiers and copy the authorized application id; Generate makes a new one.",
            "Set it in the terminal.",
            _START,
        ),
        "identifiers",
    ),
    Result.UNKNOWN: Guide(
        (
            _DOWNLOAD,
            "Put it where the terminal reads it.",
            "If it is refused too, tell the vendor: the portal has lost the record of its keys.",
        )
    ),
    Result.KEY_TYPE_MISMATCH: Guide(
        (
            "The key type names the slot of the key: primary or secondary.",
            _DOWNLOAD,
            _SAME_FILE,
        )
    ),
    Result.DELETED: Guide(
        (
            "Open the terminal’s subscription; if it has no keys, generate new ones.",
            "Download a license file, and copy the new authorized application id.",
            "Put both into every terminal of this subscription.",
        )
    ),
    Result.REVOKED: Guide(
        (
            "Ask the vendor why the key was revoked, and whether other keys are affected.",
            "Open the terminal’s subscription; a manager or an owner resets the slot.",
            _INSTALL,
            _START,
        )
    ),
    Result.REPLACED: Guide(
        (
            "Open the terminal’s subscription and download the present license file of this slot.",
            "Put it where the terminal reads it.",
            _START,
        )
    ),
    Result.SUBSCRIPTION_PENDING: Guide(
        (
            "Open the terminal’s subscription; a manager or an owner activates it.",
            _START,
        )
    ),
    Result.SUBSCRIPTION_SUSPENDED: Guide(
        (
            "Ask the vendor why the subscription is suspended.",
            "Once it is resumed, the terminal starts with the file that it has: install nothing.",
        )
    ),
    Result.SUBSCRIPTION_ENDED: Guide(
        (
            "Buy a new subscription, or ask the vendor to extend this one.",
            "After an extension, reset each key: the new ones last longer.",
            _INSTALL,
        ),
        "shop",
    ),
    Result.NOT_YET_VALID: Guide(
        (
            "Set the clock of the terminal’s machine; a time server keeps it right.",
            "If it is right, the key begins later: Inspect Claims shows when.",
        )
    ),
    Result.EXPIRED: Guide(
        (
            "Open the terminal’s subscription; a manager or an owner resets the slot.",
            _INSTALL,
            "Start the terminal again, then do the same with the other slot.",
        )
    ),
}


@require_safe
@login_not_required
def result_page(request: HttpRequest, result: Result) -> HttpResponse:
    """Explain a result to people who operate terminals."""
    guide = GUIDES[result]
    places = {
        "subscriptions": ("Open your subscriptions", reverse("subscriptions:list")),
        "identifiers": ("Open Identifiers", reverse("identifiers")),
        "shop": ("Buy a subscription", settings.BUY_URL),
    }
    context = {
        "result": result,
        "steps": guide.steps,
        "place": places[guide.place],
        "groups": [
            (step.label if step else "Passes", list(results))
            for step, results in groupby(Result, key=lambda each: each.step)
        ],
    }
    return render(request, "licenses/result.html", context)
