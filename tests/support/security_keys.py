"""A security key in software: it signs what a browser would, and whatever a test asks for."""

import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

FLAG = AuthenticatorData.FLAG


class SecurityKey:
    """One credential for a site; `origin` is where the browser is.

    `count` is what it signs next time, `user_handle` whose it is (base64url). Both can be set.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.id = secrets.token_bytes(16)
        self.count = 0
        self.user_handle = ""
        self._key = ec.generate_private_key(ec.SECP256R1())

    def register(
        self, options: Mapping[str, Any], *, verified: bool = True, **client: Any
    ) -> dict[str, Any]:
        """Return the RegistrationResponseJSON for creation options (WebAuthn Level 3, 5.1.8).

        `verified` says whether the key asked who uses it; `client` replaces members of the client
        data (`origin`, `crossOrigin`).
        """
        self.user_handle = options["user"]["id"]
        public = ES256.from_cryptography_key(self._key.public_key())
        credential = AttestedCredentialData.create(Aaguid.NONE, self.id, public)
        data = AuthenticatorData.create(
            sha256(options["rp"]["id"].encode()).digest(),
            FLAG.UP | FLAG.AT | (FLAG.UV if verified else FLAG(0)),
            self.count,
            credential,
        )
        return self._response(
            {
                "clientDataJSON": self._client_data("webauthn.create", options, client),
                "attestationObject": AttestationObject.create("none", data, {}),
            },
            clientExtensionResults={"credProps": {"rk": True}},
        )

    def answer(
        self, options: Mapping[str, Any], *, verified: bool = True, **client: Any
    ) -> dict[str, Any]:
        """Return the AuthenticationResponseJSON for request options (5.1.8), as `register` does."""
        data = AuthenticatorData.create(
            sha256(options["rpId"].encode()).digest(),
            FLAG.UP | (FLAG.UV if verified else FLAG(0)),
            self.count,
        )
        client_data = self._client_data("webauthn.get", options, client)
        signed = bytes(data) + sha256(client_data).digest()
        signature = self._key.sign(signed, ec.ECDSA(hashes.SHA256()))
        answer = self._response(
            {"clientDataJSON": client_data, "authenticatorData": data, "signature": signature},
            clientExtensionResults={},
        )
        answer["response"]["userHandle"] = self.user_handle
        return answer

    def _client_data(
        self, kind: str, options: Mapping[str, Any], client: Mapping[str, Any]
    ) -> bytes:
        members = {"origin": self.origin, **client}
        cross_origin = members.pop("crossOrigin", False)
        return CollectedClientData.create(
            kind, options["challenge"], members.pop("origin"), cross_origin, **members
        )

    def _response(self, parts: Mapping[str, bytes], **more: Any) -> dict[str, Any]:
        identifier = websafe_encode(self.id)
        encoded = {name: websafe_encode(bytes(part)) for name, part in parts.items()}
        return {
            "id": identifier,
            "rawId": identifier,
            "type": "public-key",
            "response": encoded,
            **more,
        }
