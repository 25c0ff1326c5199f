"""Chromium's virtual authenticator: a device that has passkeys and whose owner is there."""

from playwright.sync_api import Page

OPTIONS = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


WITHOUT_SUGGESTIONS = "PublicKeyCredential.isConditionalMediationAvailable = async () => false"
"""What a browser says whose fields suggest no passkeys."""


class Authenticator:
    """A virtual authenticator in the browser of the page.

    With `suggests`, its owner chooses the first passkey that a field suggests, as soon as it does.
    """

    def __init__(self, page: Page, *, suggests: bool = False) -> None:
        if not suggests:
            page.add_init_script(WITHOUT_SUGGESTIONS)
        self.session = page.context.new_cdp_session(page)
        self.session.send("WebAuthn.enable")
        added = self.session.send("WebAuthn.addVirtualAuthenticator", {"options": OPTIONS})
        self.id = added["authenticatorId"]

    def credentials(self) -> int:
        """Return how many passkeys it holds."""
        held = self.session.send("WebAuthn.getCredentials", {"authenticatorId": self.id})
        return len(held["credentials"])

    def recognises(self, *, owner: bool) -> None:
        """Let the next person who touches it be its owner, or a stranger."""
        self.session.send(
            "WebAuthn.setUserVerified", {"authenticatorId": self.id, "isUserVerified": owner}
        )

    def touched(self, *, by_itself: bool) -> None:
        """Let requests be confirmed at once, or wait."""
        self.session.send(
            "WebAuthn.setAutomaticPresenceSimulation",
            {"authenticatorId": self.id, "enabled": by_itself},
        )
