"""Reading Stripe's lists: page after page from a position on, and the objects that an event is about."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shared.adapters.stripe_api import Missing, StripeApi
from shared.errors import Unavailable
from shared.sources.stripe.feeds import OWN, ChangeFeed, ObjectFeed
from shared.sources.stripe.objects import Given, at, id_of
from shared.sources.stripe.subscriptions import change

Document = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Position:
    """Where a feed goes on: after one object or event, made at that time, should it be gone itself."""

    in_events: bool = False
    created: int = 0
    after: str = ""

    @classmethod
    def read(cls, text: str) -> "Position":
        """The position that a text says; of an empty one the beginning."""
        phase, _, rest = text.partition(" ")
        created, _, after = rest.partition(" ")
        return cls(phase == "events", int(created or 0), after)

    def __str__(self) -> str:
        # The id last: those of prices may be anything that a merchant thought of.
        return f"{'events' if self.in_events else 'objects'} {self.created} {self.after}"


def walk(
    api: StripeApi, path: str, position: Position, since: int | None, **parameters: Any
) -> Iterator[tuple[list[Given], Position | None]]:
    """Pages of a list, newest first, down to a time, with where each next one begins."""
    following: Position | None = position
    while following is not None:
        position = following
        found, more = _after(api, path, position, since, parameters)
        following = Position(position.in_events, found[-1]["created"], found[-1]["id"]) if more else None
        yield found, following


def documents(feed: ObjectFeed | ChangeFeed, api: StripeApi, given: Given) -> Iterator[Document]:
    """The documents of one object, or event, that a feed lists."""
    if isinstance(feed, ChangeFeed):
        yield given["id"], change(given)
    else:
        yield given["id"], feed.document(given, api.every)


class Touched:
    """The documents of a feed that events are about, as they are now, each once.

    listed_since: what was made since then was listed anyway.
    """

    def __init__(self, feed: ObjectFeed, api: StripeApi, listed_since: int | None = None) -> None:
        self._feed = feed
        self._api = api
        self._listed_since = listed_since
        self._seen: set[tuple[str, str]] = set()

    def by(self, event: Given) -> Iterator[Document]:
        """Those of one event; later events are to be asked about first."""
        feed, given, previous = self._feed, event["data"]["object"], event["data"].get("previous_attributes") or {}
        if event["type"] == feed.deleted:
            if self._is_new(given["id"], ""):
                gone = feed.once_deleted(at(event["created"]))
                yield given["id"], feed.document(given, _nothing_further) | gone
            return
        touch = feed.touched.get(event["type"])
        if touch is None:
            raise Unavailable("Stripe told of an event that was not asked for", event_type=event["type"])
        # A method of payment that was detached has its customer no more.
        name = id_of(given.get(touch.field) or previous.get(touch.field))
        concerns = not touch.where or any(field in previous for field in touch.where)
        listed = touch is OWN and self._listed_since is not None and given["created"] >= self._listed_since
        if name is None or not concerns or listed or not self._is_new(name, touch.by):
            return
        if touch.by:
            for found in self._api.every(feed.path, **{touch.by: name}, **listing(feed)):
                yield from documents(feed, self._api, found)
        elif one := self._api.find(feed.path, name, expand=list(feed.expand)):
            yield from documents(feed, self._api, one)

    def _is_new(self, name: str, by: str) -> bool:
        if (name, by) in self._seen:
            return False
        self._seen.add((name, by))
        return True


def listing(feed: ObjectFeed) -> dict[str, Any]:
    """The parameters of a feed's list."""
    return {**feed.parameters, "expand": [f"data.{name}" for name in feed.expand]}


def _after(
    api: StripeApi, path: str, position: Position, since: int | None, parameters: dict[str, Any]
) -> tuple[list[Given], bool]:
    created = {} if since is None else {"gte": since}
    after = {"starting_after": position.after} if position.after else {}
    try:
        return api.page(path, created=created, **after, **parameters)
    except Missing as error:
        if error.parameter != "starting_after":
            raise
        # It was deleted since. What was made in the same second is listed once more.
        return api.page(path, created=created | {"lte": position.created}, **parameters)


def _nothing_further(path: str, **parameters: Any) -> Iterator[Given]:
    """Of what is deleted nothing more can be asked."""
    return iter(())
