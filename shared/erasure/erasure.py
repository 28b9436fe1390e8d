"""What erasing itself holds."""

from shared.erasure.records import Erasure
from shared.erasure.store import Needs, Store

KEPT = {Erasure: "the proof itself: once it is final it holds a hash of the subject, and counts"}


def stores(needs: Needs) -> tuple[Store, ...]:
    """None."""
    return ()
