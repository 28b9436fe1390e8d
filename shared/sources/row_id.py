"""The document id of a row of a report: the same row is the same document, whichever sync brings it."""

import hashlib


def row_id(day: str, *identity: str) -> str:
    """`2026-11-20-<24 hex digits>`, of the account and whatever else tells the day's rows apart."""
    digest = hashlib.blake2b("\x1f".join(identity).encode(), digest_size=12)
    return f"{day}-{digest.hexdigest()}"
