"""Whether a program may use the service token that it shows."""

import hmac
from datetime import datetime, timedelta
from enum import StrEnum

from portal.accounts.sessions import not_locked, without_waiting
from portal.core import token_format
from portal.core.dates import moment
from subscriptions.service_tokens.flows import note_misplaced
from subscriptions.service_tokens.models import ServiceToken, TokenState, hashed

NOTED_EVERY = timedelta(minutes=1)
"""How often the use of a token is noted at most."""


class TokenProblem(StrEnum):
    """Why a token is refused."""

    INVALID = "invalid_token"
    EXPIRED = "expired"
    ROTATED = "rotated"
    REVOKED = "revoked"
    NETWORK_NOT_ALLOWED = "network_not_allowed"


PROBLEM_OF = {
    TokenState.EXPIRED: TokenProblem.EXPIRED,
    TokenState.ROTATED: TokenProblem.ROTATED,
    TokenState.REVOKED: TokenProblem.REVOKED,
}


class TokenRefused(Exception):
    """A token is refused: `problem` for programs, `sentence` for the people who run them.

    Everything but `invalid_token` is told only to those who hold the whole secret.
    """

    def __init__(self, problem: TokenProblem, sentence: str) -> None:
        super().__init__(sentence)
        self.problem = problem
        self.sentence = sentence


def authenticate(raw: str, *, address: str, now: datetime) -> ServiceToken:
    """Return the token that works at that moment and from that address, with its tenant read.

    Reads one row by a unique index, and nothing for a text that is no whole token. Notes the use at
    most once a minute; owners learn of a use from elsewhere. Raises TokenRefused.
    """
    token = find(raw)
    if token is None:
        raise TokenRefused(
            TokenProblem.INVALID,
            "This is not a service token of this portal. Check that it was copied whole.",
        )
    problem = PROBLEM_OF.get(token.state_at(now))
    if problem is not None:
        raise TokenRefused(problem, _why_ended(token, problem))
    if token.tenant.closed_at is not None:
        raise TokenRefused(TokenProblem.REVOKED, "The tenant of this token was closed.")
    if not token.admits(address):
        note_misplaced(token=token, address=address, now=now)
        raise TokenRefused(
            TokenProblem.NETWORK_NOT_ALLOWED,
            f"This token does not work from {address or 'an unknown address'}. An owner of its "
            "tenant chooses the networks when making a token.",
        )
    note_use(token, address=address, now=now)
    return token


def find(raw: str) -> ServiceToken | None:
    """Return the token with that secret, whether it works or not, with its tenant read."""
    if not token_format.is_whole(raw):
        return None
    digest = hashed(raw)
    token = ServiceToken.objects.select_related("tenant").filter(secret_sha256=digest).first()
    # The database compares hashes, so its time tells nothing of a secret; this comparison does not
    # rely on how a collation compares texts.
    return token if token and hmac.compare_digest(token.secret_sha256, digest) else None


def note_use(token: ServiceToken, *, address: str, now: datetime) -> None:
    """Note when and from where the token was used, as seldom and patiently as for sessions."""
    if token.last_used_at is not None and now - token.last_used_at < NOTED_EVERY:
        return
    with without_waiting():
        rows = not_locked(ServiceToken.objects.filter(pk=token.pk))
        rows.update(last_used_at=now, last_used_from=address)


def _why_ended(token: ServiceToken, problem: TokenProblem) -> str:
    if problem == TokenProblem.EXPIRED:
        return f"This token expired on {moment(token.expires_at)}. Use another one."
    if problem == TokenProblem.ROTATED:
        assert token.overlap_ends_at is not None
        ended = moment(token.overlap_ends_at)
        return f"This token was rotated and ended on {ended}. Use its successor."
    assert token.revoked_at is not None
    return f"This token was revoked on {moment(token.revoked_at)}. Use another one."
