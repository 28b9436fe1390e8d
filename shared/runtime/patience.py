"""How long an event is tried again: then it is set aside, as whoever delivers it would drop it without a word."""

from datetime import datetime, timedelta

from shared.errors import RetriesExhausted, Unavailable


def too_old(since: str, now: datetime, limit: timedelta) -> bool:
    """True where an event of the time `since` (ISO 8601) was tried for longer than `limit`.

    False for what is no time, or has no zone: that event is tried again, as ever.
    """
    try:
        return now - datetime.fromisoformat(since) > limit
    except (ValueError, TypeError):
        return False


def exhausted(error: Exception) -> RetriesExhausted:
    """What the last error becomes. Of a bug only its kind is kept, as its words may quote values."""
    if isinstance(error, Unavailable):
        return RetriesExhausted("it was tried until too late", cause=error.reason, said=error.message)
    return RetriesExhausted("it was tried until too late", cause=type(error).__name__)
