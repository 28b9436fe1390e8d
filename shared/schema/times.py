"""Times as whole numbers, as a float of seconds does not hold microseconds, and their hours."""

from datetime import UTC, datetime

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp_micros(at: datetime) -> int:
    """Microseconds since 1970; a time without zone is UTC."""
    passed = (at if at.tzinfo else at.replace(tzinfo=UTC)) - EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def hour_of(at: datetime) -> datetime:
    """The beginning of its hour. A plain datetime: what Firestore's client reads loses its nanoseconds in `replace`,
    and cannot be written again then.
    """
    return datetime(at.year, at.month, at.day, at.hour, tzinfo=at.tzinfo)
