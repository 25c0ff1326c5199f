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


class Authenticator:
    """A virtual authenticator in the browser of the page."""

    def __init__(self, page: Page) -> None:
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
