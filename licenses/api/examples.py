"""What requests and answers look like, for the description: one of each type."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder

from licenses.api.inputs import JSON
from licenses.api.keys import GenerateBody, PresentedBody, ResetBody
from licenses.api.log import NDJSON, Anchor
from licenses.api.representations import (
    KeyShown,
    KeysShown,
    LogPage,
    LogRow,
    OverlapEnded,
    RenewalShown,
    SubscriptionPage,
    SubscriptionShown,
    TokenShown,
    VerdictShown,
)
from licenses.checking.results import Result, Step
from licenses.flows.reset import Overlap
from licenses.models import Slot, Usage
from portal.activity.actions import Action
from portal.core.actors import ActorKind
from subscriptions.models import BillingPeriod, Edition, State
from subscriptions.service_tokens.models import Scope

SUBSCRIPTION_ID = UUID("2f1c9f4e-8f0b-4c8e-9d6a-1b2c3d4e5f60")
TENANT_ID = UUID("6a1f0c52-77d4-4b0e-8c1b-0d5e9a3b7c21")
TOKEN_ID = UUID("c0d1b9a4-3e5f-4f6a-a1b2-8d7c6e5f4a3b")
OLD_JTI = UUID("0e9d8c7b-6a5f-4e3d-8c2b-1a0f9e8d7c6b")

_ISSUED = datetime(2026, 3, 2, 4, 17, 9, tzinfo=UTC)
_EXPIRES = datetime(2026, 5, 31, 4, 17, 9, tzinfo=UTC)
_RENEWED = datetime(2026, 5, 4, 4, 17, 11, tzinfo=UTC)
_OVERLAP_ENDS = datetime(2026, 5, 11, 4, 17, 11, tzinfo=UTC)

TOKEN: TokenShown = {
    "id": TOKEN_ID,
    "name": "Nightly renewal in Berlin",
    "tenant_id": TENANT_ID,
    "tenant_name": "Contoso",
    "scopes": [Scope.KEYS_DOWNLOAD, Scope.KEYS_RENEW],
    "for_all_subscriptions": False,
    "works_until": datetime(2026, 7, 1, 9, 30, tzinfo=UTC),
}

SUBSCRIPTION: SubscriptionShown = {
    "id": SUBSCRIPTION_ID,
    "name": "Field tools",
    "state": State.ACTIVE,
    "state_reason": "",
    "plan": {
        "code": "community",
        "name": "Community",
        "edition": Edition.COMMUNITY,
        "billing_period": BillingPeriod.COMMUNITY,
    },
    "labels": ["berlin", "production"],
    "created_at": datetime(2026, 3, 1, 16, 40, tzinfo=UTC),
    "starts_at": datetime(2026, 3, 1, 16, 40, tzinfo=UTC),
    "ends_at": None,
    "has_keys": True,
    "keys_expire_at": _EXPIRES,
}

SECONDARY: KeyShown = {
    "slot": Slot.SECONDARY,
    "jti": UUID("7d3b2a19-5c4e-4f8d-b0a1-92837465afbe"),
    "state": "expires_soon",
    "issued_at": _ISSUED,
    "issued_by": "Ada Lovelace",
    "expires_at": _EXPIRES,
    "renewable_from": datetime(2026, 5, 4, 4, 17, 9, tzinfo=UTC),
    "revoked_at": None,
    "last_downloaded_at": None,
    "last_checked_at": None,
    "old": None,
}

PRIMARY: KeyShown = {
    **SECONDARY,
    "slot": Slot.PRIMARY,
    "jti": UUID("b5f1d0c3-2e4a-4d6b-8f7c-6a5b4c3d2e1f"),
    "state": "valid",
    "issued_at": _RENEWED,
    "issued_by": "Nightly renewal in Berlin",
    "expires_at": datetime(2026, 8, 2, 4, 17, 11, tzinfo=UTC),
    "renewable_from": datetime(2026, 7, 6, 4, 17, 11, tzinfo=UTC),
    "last_downloaded_at": _RENEWED,
    "old": {"jti": OLD_JTI, "accepted_until": _OVERLAP_ENDS, "last_checked_at": _RENEWED},
}

KEYS: KeysShown = {
    "subscription_id": SUBSCRIPTION_ID,
    "authorized_application_id": UUID("41a2b3c4-d5e6-4f70-8a9b-0c1d2e3f4a5b"),
    "usage": Usage.RESEARCH,
    "holder_name": "Contoso",
    "country": "DEU",
    "generated_at": _ISSUED,
    "generated_by": "Ada Lovelace",
    "primary": PRIMARY,
    "secondary": SECONDARY,
}

RENEWAL: RenewalShown = {"renewed": True, "reason": None, "key": PRIMARY}

ENDED: OverlapEnded = {"slot": Slot.PRIMARY, "jti": OLD_JTI, "stopped_at": _RENEWED}

VERDICT: VerdictShown = {
    "result": Result.VALID.value,
    "passes": Result.VALID.passes,
    "description": "The license key is valid.",
    "advice": Result.VALID.advice,
    "checked_at": _RENEWED,
    "accepted_until": None,
    "steps": [{"name": str(step.label), "outcome": "passed"} for step in Step],
}

ROW: LogRow = {
    "seq": 1482,
    "id": 90_311,
    "tenant_id": TENANT_ID,
    "at": "2026-05-04T04:17:11.482913+00:00",
    "actor_kind": ActorKind.SERVICE_TOKEN,
    "actor_id": TOKEN_ID,
    "actor_name": "Nightly renewal in Berlin",
    "actor_email": "",
    "action": Action.KEY_RENEWED,
    "what": "Primary license key renewed",
    "subscription_id": SUBSCRIPTION_ID,
    "subscription_name": "Field tools",
    "slot": "primary",
    "result": "",
    "reason": "",
    "details": {
        "jti": str(PRIMARY["jti"]),
        "replaces": str(OLD_JTI),
        "accepted_until": _OVERLAP_ENDS.isoformat(),
    },
    "address": "198.51.100.7",
    "previous": "9b1c6e0f4a7d2358c1f0e9d8b7a6958473625140f1e2d3c4b5a69788796a5b4c",
    "hash": "3f2e1d0c9b8a79685746352413021f0e9d8c7b6a594837261504f3e2d1c0bfae",
    "hash_version": 2,
}

LOG: LogPage = {"entries": [ROW]}

ANCHOR: Anchor = {
    "number": 1,
    "at": "2026-05-04T06:00:00+00:00",
    "chains": {str(TENANT_ID): [ROW["seq"], ROW["hash"]]},
    "signature": "c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3",
    "jws": "eyJhbGciOiJSUzI1NiIsImtpZCI6Ij…",
}

GENERATE: GenerateBody = {"usage": Usage.RESEARCH, "holder_name": "Contoso"}
RESET: ResetBody = {"overlap": Overlap.WEEK}
PRESENTED: PresentedBody = {"presented": "eyJhbGciOiJSUzI1NiIsImtpZCI6Ij…"}

_ALL = {
    "TokenShown": TOKEN,
    "SubscriptionPage": SubscriptionPage(subscriptions=[SUBSCRIPTION]),
    "SubscriptionShown": SUBSCRIPTION,
    "KeysShown": KEYS,
    "KeyShown": PRIMARY,
    "RenewalShown": RENEWAL,
    "OverlapEnded": ENDED,
    "VerdictShown": VERDICT,
    "LogPage": LOG,
    "Anchor": ANCHOR,
    "GenerateBody": GENERATE,
    "ResetBody": RESET,
    "PresentedBody": PRESENTED,
    "RevokeBody": {"token": "plt_…"},
    "Revoked": {"detail": "Whatever was a token of this portal no longer works."},
}

FILE = {
    "key": "eyJhbGciOiJSUzI1NiIsImtpZCI6Ij…",
    "key_type": Slot.PRIMARY.key_type,
    "subject": str(SUBSCRIPTION_ID),
    "consumer_tenant_id": str(TENANT_ID),
    "expires_at": PRIMARY["expires_at"].isoformat(),
}
"""A license file, without the members that it has besides."""

BY_MEDIA: dict[str, Any] = {
    JSON: FILE,
    NDJSON: DjangoJSONEncoder(ensure_ascii=False).encode(ROW) + "\n",
}
"""Answers that are of no type."""


def example_of(name: str) -> Any:
    """Return the example of a type as JSON has it."""
    return json.loads(DjangoJSONEncoder().encode(_ALL[name]))
