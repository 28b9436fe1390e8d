"""How long an answer may take in all, however many questions of a vendor it needs: somebody waits for it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf

ANSWER_SECONDS = 20.0
"""Of somebody who waits: a vendor that delivers a webhook gives up soon, and a person does, too."""

_until: ContextVar[float] = ContextVar("until", default=inf)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What this thread asks in the block (or function) is tried again no longer than so many seconds from its start."""
    token = _until.set(min(_until.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _until.reset(token)


def seconds_left(at_most: float) -> float:
    """Seconds of the block's time that are left, but a last one for whoever begins late; without a block `at_most`."""
    return min(at_most, max(1.0, _until.get() - time.monotonic()))
