"""Moments as people read them; times are UTC everywhere."""

from datetime import UTC, datetime


def moment(at: datetime) -> str:
    """Return a moment as text for a sentence: "23 Nov 2026 at 14:02 UTC"."""
    at = at.astimezone(UTC)
    return f"{at.day} {at:%b %Y} at {at:%H:%M} UTC"
