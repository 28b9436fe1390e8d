"""Messages: what functions tell each other over Pub/Sub. They carry ids, never rows."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """Base of every message; `topic` is where it is published."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: ClassVar[str] = ""
