"""Stripe: objects by the day they were made, what changed since by its events, and webhooks."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import orjson
import stripe

from shared.adapters.rest import CALL_SECONDS, PATIENCE_SECONDS
from shared.adapters.stripe_api import StripeApi
from shared.adapters.stripe_reading import Document, Position, Touched, documents, listing, walk
from shared.errors import BadRequest, CredentialsRefused, Unauthenticated
from shared.sources.catalogue import SOURCES
from shared.sources.source import Feed, Page, Pull
from shared.sources.stripe.feeds import EVENTS, EVENTS_DAYS, FEEDS, ChangeFeed, ObjectFeed, event_types
from shared.sources.webhook import Change, Delivery, Notice, stranger

TOLERANCE_SECONDS = 300
"""How far a delivery's time may be from ours: Stripe signs each try anew."""


class StripeSource:
    """Stripe's objects (ports `Source` and `WebhookSource`).

    A feed gives first the objects made since a day, then those older ones that an event says have changed since, each
    as it is now. Where the day lies before Stripe's memory of events all are listed anew instead.
    """

    feeds: Sequence[ObjectFeed | ChangeFeed] = FEEDS

    def __init__(
        self,
        endpoint: str,
        patience_seconds: float = PATIENCE_SECONDS,
        call_seconds: float = CALL_SECONDS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._endpoint = endpoint
        self._seconds = (patience_seconds, call_seconds)
        self._clock = clock

    @classmethod
    def connect(cls, endpoint: str) -> "StripeSource":
        """Stripe at an endpoint; the key comes with each pull."""
        return cls(endpoint)

    def pages(self, feed: Feed, pull: Pull, position: str) -> Iterator[Page]:
        """Pages of one feed, newest first; Stripe tells no totals."""
        api, place, remembered = self._api(pull), Position.read(position), self._days_ago(EVENTS_DAYS)
        if isinstance(feed, ChangeFeed):
            since = _seconds(max(pull.since, remembered))
            for events, following in walk(api, EVENTS, place, since, types=list(feed.events)):
                yield _page((each for event in events for each in documents(feed, api, event)), following)
        elif isinstance(feed, ObjectFeed):
            if pull.since < remembered:
                yield from _listed(feed, api, place, self._history(feed, pull.since), None)
                return
            since = _seconds(pull.since)
            if not place.in_events:
                yield from _listed(feed, api, place, since, Position(in_events=True))
            yield from _changed(feed, api, place if place.in_events else Position(in_events=True), since)
        else:
            raise TypeError(f"{feed.collection.name} is no feed of Stripe")

    def check(self, pull: Pull) -> str:
        """Read one object of each kind: a key that may not is found out here. The account's name, where it may be."""
        api = self._api(pull)
        for feed in self.feeds:
            path, parameters = (EVENTS, {}) if isinstance(feed, ChangeFeed) else (feed.path, listing(feed))
            api.page(path, limit=1, **parameters)
        try:
            account = api.get("/v1/account")
        except CredentialsRefused:
            # Of no other use, and seldom granted to a restricted key.
            return pull.settings.account_id or "a restricted key"
        shown = ((account.get("settings") or {}).get("dashboard") or {}).get("display_name")
        return str(shown or account["id"])

    def notices(self, delivery: Delivery, secret: str, now: datetime) -> Sequence[Notice]:
        """The event of a delivery."""
        signature = delivery.headers.get("stripe-signature", "")
        try:
            stripe.WebhookSignature.verify_header(delivery.body, signature, secret)
        except (stripe.SignatureVerificationError, UnicodeDecodeError, TypeError):
            # TypeError: signatures that are not ASCII. Without the error itself, which carries the body.
            raise stranger() from None
        if abs(now.timestamp() - _signed_at(signature)) > TOLERANCE_SECONDS:
            raise Unauthenticated("the delivery was not signed just now", tolerance_seconds=TOLERANCE_SECONDS)
        return _notices(delivery.body)

    def fetch(self, pull: Pull, notice: Notice) -> Sequence[Change]:
        """What the event's object, and what belongs to it, is now; nothing where Stripe knows no such event."""
        api, changes = self._api(pull), list[Change]()
        event = api.find(EVENTS, notice.event_id)
        for feed in self.feeds if event else ():
            if event and event["type"] in feed.events:
                found = documents(feed, api, event) if isinstance(feed, ChangeFeed) else Touched(feed, api).by(event)
                changes.extend(Change(feed, name, fields) for name, fields in found)
        return changes

    def _api(self, pull: Pull) -> StripeApi:
        return StripeApi(self._endpoint, pull.credentials, pull.settings.account_id, *self._seconds)

    def _days_ago(self, days: int) -> date:
        return self._clock().date() - timedelta(days=days)

    def _history(self, feed: ObjectFeed, since: date) -> int | None:
        """From when on a feed is listed anew: what lives on is of use whenever it was made."""
        return None if feed.lives else _seconds(min(since, self._days_ago(SOURCES["stripe"].history_days)))


def _listed(
    feed: ObjectFeed, api: StripeApi, place: Position, since: int | None, then: Position | None
) -> Iterator[Page]:
    for found, following in walk(api, feed.path, place, since, **listing(feed)):
        yield _page((each for given in found for each in documents(feed, api, given)), following or then)


def _changed(feed: ObjectFeed, api: StripeApi, place: Position, since: int) -> Iterator[Page]:
    touched = Touched(feed, api, listed_since=since)
    for events, following in walk(api, EVENTS, place, since, types=feed.events):
        yield _page((each for event in events for each in touched.by(event)), following)


def _page(found: Iterator[Document], following: Position | None) -> Page:
    return Page(list(found), None if following is None else str(following), None)


def _seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _signed_at(signature: str) -> int:
    """The time in a header that was verified: its first `t`."""
    return int(next(item for item in signature.split(",") if item.startswith("t=")).split("=")[1])


def _notices(body: bytes) -> list[Notice]:
    try:
        told = orjson.loads(body)
        if told["type"] not in event_types():
            return []
        named = [told["id"], told["type"], told["data"]["object"]["id"]]
        if not all(isinstance(name, str) for name in named):
            raise TypeError
    except (orjson.JSONDecodeError, KeyError, TypeError):
        expected = "an event with its snapshot: id, type, data.object.id"
        raise BadRequest("the delivery is no event", errors=[{"field": "body", "expected": expected}]) from None
    return [Notice(*named)]
