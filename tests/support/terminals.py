"""What a terminal sends, and what it gets when it is refused."""

import json
from pathlib import Path
from typing import Any

from licenses.models import LicenseKey, Slot

GENERATIONS = [
    json.loads(path.read_text("utf-8"))
    for path in sorted((Path(__file__).parents[1] / "vectors" / "terminals").glob("*.json"))
]

FAILURE = {"error", "error_code", "error_description", "request_id", "result"}


def body_for(key: LicenseKey, generation: str = "2022-09", **changes: Any) -> dict[str, Any]:
    """Return what a terminal of the generation sends for a key."""
    template = next(g for g in GENERATIONS if g["generation"] == generation)["request"]
    license = key.license
    places = {
        "{key}": key.token or "",
        "{sub}": str(license.subscription_id),
        "{tid}": str(license.tenant_id),
        "{application}": str(license.authorized_application_id),
    }
    body = {}
    for name, value in template.items():
        text = value
        for place, real in places.items():
            text = text.replace(place, real) if isinstance(text, str) else text
        body[name] = text
    return {**body, "key_type": Slot(key.slot).key_type, **changes}
