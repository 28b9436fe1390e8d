"""Messages of erasing."""

from typing import ClassVar

from shared.schema.message import Message


class ErasureSweepRequested(Message):
    """Sweep every open erasure again."""

    topic: ClassVar[str] = "erasure-sweep-requested"
