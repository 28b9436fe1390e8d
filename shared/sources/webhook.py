"""What a webhook is to Scout: a signed notice that something changed. What changed is fetched, never taken from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shared.errors import Unauthenticated
from shared.sources.source import Feed, Pull


@dataclass(frozen=True)
class Delivery:
    """One request of a vendor, as it came: names of headers in lower case."""

    body: bytes
    headers: Mapping[str, str]
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Notice:
    """Something happened to one object of a vendor."""

    event_id: str
    event_type: str
    object_id: str


@dataclass(frozen=True)
class Change:
    """What one document is now; `fields` is None where it is no more, and else as in a page of its feed."""

    feed: Feed
    document_id: str
    fields: dict[str, Any] | None


class WebhookSource(Protocol):
    """A source that sends webhooks."""

    def notices(self, delivery: Delivery, secret: str, now: datetime) -> Sequence[Notice]:
        """What a delivery tells; none where it is about nothing that Scout holds.

        Unauthenticated where it does not carry the secret (as `stranger` says it), or was signed too long ago;
        BadRequest where it cannot be read.
        """
        ...

    def fetch(self, pull: Pull, notice: Notice) -> Sequence[Change]:
        """What the object, and what belongs to it, is now. Errors as of a source's pages."""
        ...


def stranger() -> Unauthenticated:
    """The one answer to whoever does not have the secret: it does not tell whether there is such a tenant."""
    return Unauthenticated(
        "no webhook has this address and this secret", expected="an address and a secret that were agreed on"
    )
