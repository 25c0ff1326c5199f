"""What the log records, and how people read it."""

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
    KEY_CHECKED = "license_key.checked", "License key checked"
    KEY_RESET = "license_key.reset", "License key reset"
    KEY_REVOKED = "license_key.revoked", "License key revoked"
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
    LOG_PRUNED = "log.pruned", "Old log rows removed"
    LOG_KEY_ACCEPTED = "log.key_accepted", "Other log key accepted"
    TENANT_OPENED = "tenant.opened", "Tenant opened"
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


GROUPS = {
    "Subscriptions": ("subscription.",),
    "License keys": ("license_key.", "license_keys."),
    "Tenant and members": ("tenant.", "member.", "invitation."),
    "Service tokens": ("token.",),
    "People and sign-in": ("person.",),
    "Operators": ("support_view.", "change.", "record.", "log."),
}
"""How the actions of a tenant's log are grouped: by the beginnings of their values."""


def grouped_choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the actions that a tenant's log may hold as grouped choices of a form."""
    return [
        (group, [(str(a.value), str(a.label)) for a in Action if a.value.startswith(beginnings)])
        for group, beginnings in GROUPS.items()
    ]
