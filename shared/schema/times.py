"""Times as whole numbers: a float of seconds does not hold microseconds."""

from datetime import UTC, datetime

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp_micros(at: datetime) -> int:
    """Microseconds since 1970; a time without zone is UTC."""
    passed = (at if at.tzinfo else at.replace(tzinfo=UTC)) - EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
