"""What the log records, and how people read it."""

from collections.abc import Mapping
from typing import Any

from django.db.models import TextChoices


class Action(TextChoices):
    """What a log row records; the label is what people read."""

    SUBSCRIPTION_ACTIVATED = "subscription.activated", "Subscription activated"
    SUBSCRIPTION_STARTED = "subscription.started", "Community subscription started"
    SUBSCRIPTION_RENAMED = "subscription.renamed", "Subscription renamed"
    SUBSCRIPTION_CHANGED = "subscription.changed", "Subscription changed"
    KEYS_GENERATED = "license_keys.generated", "License keys generated"
    KEYS_DELETED = "license_keys.deleted", "License keys deleted"
    KEY_DOWNLOADED = "license_key.downloaded", "License key downloaded"
    BUNDLE_DOWNLOADED = "license_keys.bundle_downloaded", "Offline bundle downloaded"
    KEY_CHECKED = "license_key.checked", "License key checked"
    KEY_RESET = "license_key.reset", "License key reset"
    KEY_RENEWED = "license_key.renewed", "License key renewed"
    KEY_REVOKED = "license_key.revoked", "License key revoked"
    KEY_WITHDRAWN = "license_key.withdrawn", "License key withdrawn with its signing key"
    OVERLAP_ENDED = "license_key.overlap_ended", "Overlap ended"
    SIGNING_KEY_CREATED = "signing_key.created", "Signing key created"
    SIGNING_KEY_ACTIVATED = "signing_key.activated", "Signing key activated"
    SIGNING_KEY_DISABLED = "signing_key.disabled", "Signing key disabled"
    SIGNED_IN = "person.signed_in", "Signed in"
    SIGN_IN_FAILED = "person.sign_in_failed", "Sign-in failed"
    SESSIONS_ENDED = "person.sessions_ended", "Sessions ended"
    RECOVERY_CODE_USED = "person.recovery_code_used", "Recovery code used"
    PERSON_RENAMED = "person.renamed", "Name changed"
    PASSWORD_CHANGED = "person.password_changed", "Password changed"
    EMAIL_CHANGED = "person.email_changed", "Email address changed"
    EMAIL_CHANGE_ASKED = "person.email_change_asked", "Change of email address asked for"
    EMAIL_CHANGE_STOPPED = "person.email_change_stopped", "Change of email address stopped"
    EMAIL_TAKEN_BACK = "person.email_taken_back", "Email address taken back"
    TWO_FACTOR_ON = "person.two_factor_on", "Authenticator app set up"
    TWO_FACTOR_OFF = "person.two_factor_off", "Authenticator app removed"
    PASSKEY_ADDED = "person.passkey_added", "Passkey added"
    PASSKEY_REMOVED = "person.passkey_removed", "Passkey removed"
    SECURITY_KEY_ADDED = "person.security_key_added", "Security key added"
    SECURITY_KEY_REMOVED = "person.security_key_removed", "Security key removed"
    RECOVERY_CODES_MADE = "person.recovery_codes_made", "Recovery codes made"
    RECOVERY_CODES_REMOVED = "person.recovery_codes_removed", "Recovery codes removed"
    ACCOUNT_DELETED = "person.account_deleted", "Account deleted"
    IDENTITY_CONNECTED = "person.identity_connected", "Identity provider connected"
    IDENTITY_DISCONNECTED = "person.identity_disconnected", "Identity provider disconnected"
    TENANT_CREATED = "tenant.created", "Tenant created"
    TENANT_CHANGED = "tenant.changed", "Tenant changed"
    NOTIFICATIONS_CHANGED = "tenant.notifications_changed", "Notifications changed"
    MEMBER_INVITED = "member.invited", "Member invited"
    INVITATION_RESENT = "invitation.resent", "Invitation sent again"
    INVITATION_REVOKED = "invitation.revoked", "Invitation revoked"
    MEMBER_JOINED = "member.joined", "Member joined"
    MEMBER_ROLE_CHANGED = "member.role_changed", "Role changed"
    MEMBER_REMOVED = "member.removed", "Member removed"
    MEMBER_LEFT = "member.left", "Member left"
    OWNERSHIP_HANDED_OVER = "tenant.handed_over", "Ownership handed over"
    TENANT_EXPORTED = "tenant.exported", "Data of the tenant exported"
    CLOSING_ASKED = "tenant.closing_asked", "Closing of the tenant asked for"
    CLOSING_STOPPED = "tenant.closing_stopped", "Closing of the tenant taken back"
    TENANT_CLOSED = "tenant.closed", "Tenant closed"
    LOG_ERASED = "log.erased", "Names in the log replaced by pseudonyms"
    LOG_PRUNED = "log.pruned", "Old entries of the log removed"
    LOG_KEY_ACCEPTED = "log.key_accepted", "Other log key accepted"
    TENANT_OPENED = "tenant.opened", "Tenant opened by the vendor"
    SUBSCRIPTION_ADDED = "subscription.added", "Subscription added"
    CHANGE_ASKED = "change.asked", "Change asked for"
    CHANGE_STOPPED = "change.stopped", "Change stopped"
    CHANGE_DONE = "change.done", "Change done after its delay"
    OPERATOR_CHANGED = "operator.changed", "Operator's groups changed"
    SUPPORT_VIEW_STARTED = "support_view.started", "Support view started"
    SUPPORT_VIEW_ENDED = "support_view.ended", "Support view ended"
    TOKEN_MADE = "token.made", "Service token made"
    TOKEN_ROTATED = "token.rotated", "Service token rotated"
    TOKEN_MISPLACED = "token.misplaced", "Service token used from elsewhere"
    TOKEN_REVOKED = "token.revoked", "Service token revoked"
    RECORD_ADDED = "record.added", "Record added"
    RECORD_CHANGED = "record.changed", "Record changed"
    KEY_EXPIRING = "license_key.expiring", "License key expires soon"
    OVERLAP_ENDING = "license_key.overlap_ending", "Overlap ends soon"
    ROTATION_COMPLETED = "license_key.rotation_completed", "License key checked for the first time"
    SUBSCRIPTION_RAN_OUT = "subscription.ran_out", "End date of subscription passed"
    WEBHOOK_ADDED = "webhook.added", "Webhook added"
    WEBHOOK_CHANGED = "webhook.changed", "Webhook changed"
    WEBHOOK_SECRET_ROTATED = "webhook.secret_rotated", "Secret of webhook rotated"
    WEBHOOK_SWITCHED_OFF = "webhook.switched_off", "Webhook switched off"
    WEBHOOK_SWITCHED_ON = "webhook.switched_on", "Webhook switched on"
    WEBHOOK_DELETED = "webhook.deleted", "Webhook deleted"
    WEBHOOK_TESTED = "webhook.tested", "Test event sent"
    WEBHOOK_RESENT = "webhook.resent", "Event sent again"
    MAIL_SENT_AGAIN = "mail.sent_again", "Mail sent again"


GROUPS = {
    "Subscriptions": ("subscription.",),
    "License keys": ("license_key.", "license_keys."),
    "Tenant and members": ("tenant.", "member.", "invitation."),
    "Service tokens": ("token.",),
    "Webhooks": ("webhook.",),
    "People and sign-in": ("person.",),
    "Vendor": ("support_view.", "change.", "log.", "mail."),
}
"""How the actions of a tenant's log are grouped: by the beginnings of their values."""


def grouped_choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the actions that a tenant's log may hold as grouped choices of a form."""
    return [
        (group, [(str(a.value), str(a.label)) for a in Action if a.value.startswith(beginnings)])
        for group, beginnings in GROUPS.items()
    ]


CHANGE = ("before", "after")
TOKEN = ("name", "id", "ends_in")

MEMBERS: dict[Action, tuple[str, ...]] = {
    Action.SUBSCRIPTION_ACTIVATED: CHANGE,
    Action.SUBSCRIPTION_RENAMED: CHANGE,
    Action.SUBSCRIPTION_CHANGED: CHANGE,
    Action.SUBSCRIPTION_ADDED: CHANGE,
    Action.SUBSCRIPTION_RAN_OUT: ("ends_at",),
    Action.KEYS_GENERATED: ("usage", "holder_name", "authorized_application_id", "jti"),
    Action.KEYS_DELETED: ("authorized_application_id", "jti"),
    Action.KEY_DOWNLOADED: ("jti",),
    Action.KEY_CHECKED: ("jti",),
    Action.BUNDLE_DOWNLOADED: ("jti",),
    Action.KEY_RESET: ("jti", "replaces", "accepted_until"),
    Action.KEY_RENEWED: ("jti", "replaces", "accepted_until"),
    Action.KEY_REVOKED: ("jti", *CHANGE),
    Action.KEY_WITHDRAWN: ("jti", "kid"),
    Action.KEY_EXPIRING: ("jti", "expires_at", "days"),
    Action.OVERLAP_ENDED: ("jti",),
    Action.OVERLAP_ENDING: ("jti", "accepted_until"),
    Action.ROTATION_COMPLETED: ("jti", "first_checked_at"),
    Action.SIGNING_KEY_CREATED: ("kid", *CHANGE),
    Action.SIGNING_KEY_ACTIVATED: ("kid", "is_emergency", *CHANGE),
    Action.SIGNING_KEY_DISABLED: ("kid", "refused_license_keys", *CHANGE),
    Action.SIGNED_IN: ("how",),
    Action.SIGN_IN_FAILED: ("account", "way"),
    Action.SESSIONS_ENDED: ("of", "sessions"),
    Action.RECOVERY_CODE_USED: ("left",),
    Action.PERSON_RENAMED: CHANGE,
    Action.EMAIL_CHANGED: CHANGE,
    Action.EMAIL_CHANGE_ASKED: CHANGE,
    Action.EMAIL_CHANGE_STOPPED: CHANGE,
    Action.EMAIL_TAKEN_BACK: CHANGE,
    Action.ACCOUNT_DELETED: ("name", "email", "role"),
    Action.IDENTITY_CONNECTED: ("provider",),
    Action.IDENTITY_DISCONNECTED: ("provider",),
    Action.TENANT_CREATED: CHANGE,
    Action.TENANT_CHANGED: CHANGE,
    Action.TENANT_OPENED: CHANGE,
    Action.NOTIFICATIONS_CHANGED: CHANGE,
    Action.MEMBER_INVITED: ("email", "role"),
    Action.INVITATION_RESENT: ("email", "role"),
    Action.INVITATION_REVOKED: ("email", "role"),
    Action.MEMBER_JOINED: ("email", "role"),
    Action.MEMBER_ROLE_CHANGED: ("name", "email", *CHANGE),
    Action.MEMBER_REMOVED: ("name", "email", "role"),
    Action.MEMBER_LEFT: ("name", "email", "role"),
    Action.OWNERSHIP_HANDED_OVER: ("name", "email"),
    Action.CLOSING_ASKED: ("due",),
    Action.LOG_ERASED: ("up_to_row",),
    Action.LOG_PRUNED: ("older_than_days", "rows"),
    Action.CHANGE_ASKED: ("change", "of", "id", "new owner", *CHANGE),
    Action.CHANGE_STOPPED: ("change", "of", "id", "new owner", *CHANGE),
    Action.CHANGE_DONE: ("change", "of", "id", "new owner", *CHANGE),
    Action.OPERATOR_CHANGED: ("user", "id", *CHANGE),
    Action.SUPPORT_VIEW_STARTED: ("until",),
    Action.SUPPORT_VIEW_ENDED: ("ended_by",),
    Action.TOKEN_MADE: (*TOKEN, "scopes", "subscriptions", "networks", "expires_at"),
    Action.TOKEN_ROTATED: (*TOKEN, "predecessor", "overlap_ends_at", "expires_at"),
    Action.TOKEN_MISPLACED: TOKEN,
    Action.TOKEN_REVOKED: TOKEN,
    Action.RECORD_ADDED: ("record", "id", "name", *CHANGE),
    Action.RECORD_CHANGED: ("record", "id", "name", *CHANGE),
    Action.WEBHOOK_ADDED: ("id", *CHANGE),
    Action.WEBHOOK_CHANGED: ("id", "host", *CHANGE),
    Action.WEBHOOK_SECRET_ROTATED: ("id", "host", "accepted_until"),
    Action.WEBHOOK_SWITCHED_OFF: ("id", "host", "error"),
    Action.WEBHOOK_SWITCHED_ON: ("id", "host"),
    Action.WEBHOOK_DELETED: ("id", "host"),
    Action.WEBHOOK_TESTED: ("id", "host", "event"),
    Action.WEBHOOK_RESENT: ("id", "host", "event"),
    Action.MAIL_SENT_AGAIN: ("email",),
}
"""What the details of a row may hold, by its action; those that are not named here hold nothing."""

MEANINGS = {
    "accepted_until": "when the old key, or the old secret, stops working (ISO 8601)",
    "account": "account that was tried",
    "after": "object: the fields that differ, with their new values",
    "authorized_application_id": "what terminals are configured with beside the key",
    "before": "object: the same fields with their old values",
    "change": "change that waits for its delay, in words",
    "days": "days left, begun ones whole",
    "due": "when it is closed (ISO 8601)",
    "email": "email address of the person",
    "ended_by": "what ended it",
    "ends_in": "last characters of the token",
    "ends_at": "end date of the subscription (ISO 8601)",
    "error": "why nothing could be delivered",
    "event": "identifier of the event (`webhook-id`)",
    "expires_at": "expiry of the key or token (ISO 8601)",
    "first_checked_at": "last check by a terminal in the hour of the first (ISO 8601)",
    "holder_name": "name that stands in the keys",
    "host": "host of the webhook's address; its path is left out",
    "how": "how the person signed in",
    "id": "identifier of what was changed",
    "is_emergency": "whether the delay was overridden",
    "jti": "identifier of the key; where both are concerned, an array",
    "kid": "identifier of the signing key",
    "left": "recovery codes left",
    "networks": "array: networks that the token works from, all if there is none",
    "name": "name of the person, token or record",
    "new owner": "email address of who becomes owner",
    "of": "person or tenant concerned",
    "older_than_days": "age of the rows that were removed",
    "overlap_ends_at": "when the old token stops working (ISO 8601)",
    "predecessor": "identifier of the token before",
    "provider": "identity provider",
    "record": "kind of record",
    "refused_license_keys": "how many license keys are refused from then on",
    "replaces": "identifier (`jti`) of the key before",
    "role": "role of the member",
    "rows": "how many rows were removed",
    "scopes": "array: what the token may do",
    "sessions": "array: the sessions that ended, in words",
    "subscriptions": "`all`, or an array of identifiers",
    "until": "when it ends by itself (ISO 8601)",
    "up_to_row": "number of the last row whose names were replaced",
    "usage": "usage of the license: `org`, `per`, `edu` or `rnd`",
    "user": "email address of the operator",
    "way": "how the sign-in was tried",
}
"""What each member of details means, whichever action it belongs to."""

KEPT = {
    "accepted_until",
    "activated_at",
    "authorized_application_id",
    "beneficiary_tenant_id",
    "billing_period",
    "change",
    "country",
    "due",
    "edition",
    "ended_by",
    "ends_at",
    "ends_in",
    "event",
    "events",
    "expires_at",
    "first_checked_at",
    "how",
    "id",
    "jti",
    "kid",
    "outcome",
    "overlap_ends_at",
    "plan",
    "predecessor",
    "provider",
    "record",
    "replaces",
    "revoked_at",
    "role",
    "scopes",
    "second factors",
    "signs",
    "slot",
    "starts_at",
    "state",
    "subscriptions",
    "topics",
    "until",
    "urn",
    "usage",
    "way",
}
"""Members, and fields of changes, whose text the portal chose; all other text may name somebody,
and is replaced once the tenant is closed."""

EVENTS: dict[Action, str] = {
    Action.KEYS_GENERATED: "key.generated",
    Action.KEY_RESET: "key.reset",
    Action.KEY_RENEWED: "key.renewed",
    Action.KEYS_DELETED: "key.deleted",
    Action.KEY_REVOKED: "key.revoked",
    Action.KEY_WITHDRAWN: "key.withdrawn",
    Action.KEY_EXPIRING: "key.expiring",
    Action.OVERLAP_ENDING: "overlap.ending",
    Action.ROTATION_COMPLETED: "rotation.completed",
    Action.SUBSCRIPTION_ACTIVATED: "subscription.activated",
    Action.SUBSCRIPTION_STARTED: "subscription.activated",
    Action.SUBSCRIPTION_RAN_OUT: "subscription.ended",
    Action.SUBSCRIPTION_RENAMED: "subscription.changed",
    Action.SUBSCRIPTION_CHANGED: "subscription.changed",
}
"""Names under which webhooks tell of actions; what is not named here is told to nobody."""

STATE_EVENTS = {
    "suspended": "subscription.suspended",
    "active": "subscription.resumed",
    "ended": "subscription.ended",
}
"""What `SUBSCRIPTION_CHANGED` is told as when the state changed, by the new state."""


def event_of(action: str, details: Mapping[str, Any]) -> str:
    """Return the name under which webhooks tell of a row, or "" when they do not."""
    if action == Action.SUBSCRIPTION_CHANGED and (state := details["after"].get("state")):
        return STATE_EVENTS[state]
    return EVENTS.get(Action(action), "")


def event_types() -> list[str]:
    """Return the names of all events, in the order of the list."""
    return list(dict.fromkeys([*EVENTS.values(), *STATE_EVENTS.values()]))


EVENT_WORDS = {
    "key.generated": ("Keys generated", "A subscription has license keys: download and install."),
    "key.reset": ("Key reset", "A new key is in a slot; the old one stops now or later."),
    "key.renewed": ("Key renewed", "A program renewed a key that was about to expire."),
    "key.deleted": ("Keys deleted", "Both keys of a subscription are gone for good."),
    "key.revoked": ("Key revoked", "The vendor revoked a key: terminals with it do not start."),
    "key.withdrawn": (
        "Key withdrawn",
        "The vendor disabled the signing key of a key: terminals with it do not start.",
    ),
    "key.expiring": ("Key expires soon", "On each day on which mails about it may be sent."),
    "overlap.ending": ("Overlap ends soon", "The old key of a slot stops within a day."),
    "rotation.completed": (
        "New key in use",
        "A terminal has checked it for the first time.",
    ),
    "subscription.activated": ("Subscription activated", "License keys can be generated for it."),
    "subscription.ended": (
        "Subscription ended",
        "The end date has passed, or the vendor did it.",
    ),
    "subscription.changed": ("Subscription changed", "Its name, plan or end date is another one."),
    "subscription.suspended": ("Subscription suspended", "Every check of its keys is refused."),
    "subscription.resumed": ("Subscription resumed", "Its keys pass again."),
    "webhook.test": ("Test event", "Somebody tries the webhook; nothing happened."),
}
"""What people read of the events of webhooks: a name, and when it is told."""
