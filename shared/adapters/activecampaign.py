"""ActiveCampaign's API v3 over plain HTTP: its official clients are older than the API."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

from shared.adapters.activecampaign_reports import MOST_ANSWERS, complaints, openers
from shared.adapters.activecampaign_walk import LIMIT, Place, how_many, rows_of, walk, walk_by_id
from shared.adapters.rest import CALL_SECONDS, PATIENCE_SECONDS, Rest
from shared.errors import CredentialsRefused, Rejected
from shared.sources import activecampaign_documents as documents
from shared.sources import activecampaign_webhook as webhook
from shared.sources.activecampaign import (
    AUTOMATION_MAILS,
    AUTOMATIONS,
    BLOCKS,
    CAMPAIGNS,
    COMPLAINTS_HISTORY,
    CONTACTS,
    KINDS,
    LISTS,
    MESSAGES,
    OPENS,
    OPENS_HISTORY,
    PASSAGES,
    Kind,
    is_of_automation,
    is_unsent,
    own_utm_campaign,
    utm_campaign,
)
from shared.sources.source import Feed, Page, Pull
from shared.sources.webhook import Change, Delivery, Notice

PER_SECOND = 5
"""Requests that an account allows: https://developers.activecampaign.com/reference/rate-limits."""
NO_ACCOUNT = (402, 404)
"""Not paid for; not there. Lists are there in every account."""
ME = "/api/3/users/me"
"""There in every account, too."""

ROWS_AT_ONCE = MOST_ANSWERS // 2
"""Campaigns of a page: each is asked for its links and its complaints, one after another."""

T = TypeVar("T")
Document = tuple[str, dict[str, Any]]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """A part of what is asked about one row of a list.

    counted: documents that the vendor says it is. answers: how many it took. following: where the next part begins.
    """

    documents: list[Document]
    counted: int
    answers: int
    following: int | None = None


class ActiveCampaignSource:
    """Campaigns, automations, lists and contacts of ActiveCampaign (ports `Source` and `WebhookSource`).

    Every list is walked to its end, so that what came can be compared with the vendor's own total; what has not changed
    since the day that is asked for is left out, and not counted. Whether opens and clicks count as updates of a contact
    is nowhere said: none is asked for by its update. A position is a Place of the walk, as text.
    """

    feeds = KINDS

    def __init__(
        self,
        endpoint: str,
        patience_seconds: float = PATIENCE_SECONDS,
        call_seconds: float = CALL_SECONDS,
        per_second: int = PER_SECOND,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._endpoint = endpoint
        self._patience_seconds = patience_seconds
        self._call_seconds = call_seconds
        self._per_second = per_second
        self._today = today
        self._apis: dict[tuple[str, str], Rest] = {}

    @classmethod
    def connect(cls, endpoint: str, patience_seconds: float = PATIENCE_SECONDS) -> "ActiveCampaignSource":
        """A client of all tenants: accounts and credentials come with each pull. `{account}` is in the endpoint."""
        return cls(endpoint, patience_seconds)

    def pages(self, feed: Feed, pull: Pull, position: str) -> Iterator[Page]:
        """Pages of one kind of object, in order of their ids."""
        kind = _kind(feed)
        with self._account(pull) as api:
            yield from (self._parts if kind in (BLOCKS, OPENS) else self._rows)(api, kind, pull, position)

    def _rows(self, api: Rest, kind: Kind, pull: Pull, position: str) -> Iterator[Page]:
        """A page for each answer of the list; several where each of its rows is asked about, too."""
        place = Place.read(position)
        left_out, made = place.left_out, list[Document]()
        most = ROWS_AT_ONCE if kind in (CAMPAIGNS, AUTOMATION_MAILS) else LIMIT
        steps = walk_by_id if kind is CONTACTS else walk
        for found in steps(api, kind.path, kind.key, kind.parameters, place):
            beside = _beside(kind, found.answer)
            for row, after in found.placed:
                if len(made) == most:
                    yield Page(made, replace(place, left_out=left_out).text, _reported(found.total, left_out))
                    made = []
                if self._takes(kind, row, beside[str(row["id"])], pull):
                    made.append(self._document(api, kind, row, beside[str(row["id"])], pull))
                else:
                    left_out += 1
                place = after
            following = replace(found.place, left_out=left_out).text if found.more else None
            yield Page(made, following, _reported(found.total, left_out))
            made = []

    def _parts(self, api: Rest, kind: Kind, pull: Pull, position: str) -> Iterator[Page]:
        """Pages of what is asked about each row of a list by itself, each of a bounded number of answers.

        A position is a Place of the list, and, within a row, its id and where its next part begins. What the vendor
        counts is the list's rows, but for what each row is more or less than one document (`left_out`).
        """
        walked, _, inside = position.partition("/")
        cut, _, first = inside.partition("/")
        place, resumed = Place.read(walked), {cut: int(first or 0)}
        left_out, answers, made = place.left_out, 0, list[Document]()
        listed = AUTOMATIONS if kind is BLOCKS else kind
        for found in walk(api, listed.path, listed.key, listed.parameters, place):
            for row, after in found.placed:
                part = Part([], 0, 0, resumed.pop(str(row["id"]), 0))
                left_out += part.following == 0
                while part.following is not None and self._takes(kind, row, (), pull):
                    part = self._part(api, kind, row, pull, part.following)
                    made, answers, left_out = made + part.documents, answers + part.answers, left_out - part.counted
                    if answers >= MOST_ANSWERS:
                        inside = "" if part.following is None else f"/{row['id']}/{part.following}"
                        here = replace(place if inside else after, left_out=left_out)
                        yield Page(made, here.text + inside, _reported(found.total, left_out))
                        made, answers = [], 0
                place = after
            if not found.more:
                yield Page(made, None, _reported(found.total, left_out))

    def check(self, pull: Pull) -> str:
        """The account's name."""
        with self._account(pull) as api:
            api.get(ME)
        return pull.settings.account_id or ""

    def notices(self, delivery: Delivery, secret: str, now: datetime) -> Sequence[Notice]:
        """What a delivery tells: see shared/sources/activecampaign_webhook.py."""
        return webhook.notices(delivery, secret, now)

    def fetch(self, pull: Pull, notice: Notice) -> Sequence[Change]:
        """The contact or campaign as it is now."""
        path, _, object_id = notice.object_id.partition("/")
        kind, name = (CONTACTS, "contact") if path == CONTACTS.path else (CAMPAIGNS, "campaign")
        with self._account(pull) as api:
            answer = _one(api, f"{kind.path}/{object_id}", kind.parameters)
            if answer is None:
                return [Change(kind, object_id, None)]
            row, beside = answer[name], _beside(kind, answer)[object_id]
            if kind is CAMPAIGNS and (is_of_automation(row) or is_unsent(row)):
                return []
            return [Change(kind, *self._document(api, kind, row, beside, pull))]

    def held(self, feed: Feed, pull: Pull) -> int | None:
        """How many objects of a kind the account has."""
        with self._account(pull) as api:
            return how_many(api, _kind(feed).path, {})

    def missing(self, feed: Feed, pull: Pull, ids: Sequence[str]) -> Sequence[str]:
        """Which of these contacts are not among what is found of them.

        Believed only where all that was found is told, and was asked for.
        """
        path = _kind(feed).path
        with self._account(pull) as api:
            found = api.get(f"/api/3/{path}", {"ids[]": list(ids), "limit": LIMIT})
            rows, total = rows_of(found, _kind(feed).key, path)
        there = {str(row["id"]) for row in rows}
        believed = total == len(there) and there <= set(ids)
        return [one for one in ids if one not in there] if believed else []

    def is_gone(self, feed: Feed, pull: Pull, object_id: str) -> bool:
        """True where a contact is not there, though the account is."""
        with self._account(pull) as api:
            return _one(api, f"{_kind(feed).path}/{object_id}", {}) is None

    def _takes(self, kind: Kind, row: Row, beside: Sequence[Row], pull: Pull) -> bool:
        if kind is AUTOMATION_MAILS:
            return is_of_automation(row)
        if kind in (CAMPAIGNS, OPENS) and (is_of_automation(row) or is_unsent(row)):
            return False
        since = max(pull.since, self._today() - OPENS_HISTORY) if kind is OPENS else pull.since
        return kind.takes(row, beside, since, self._today())

    def _part(self, api: Rest, kind: Kind, row: Row, pull: Pull, first: int) -> Part:
        """Who opened a campaign, from an answer on; or an automation's steps, all of them, as each knows its way."""
        if kind is OPENS:
            told = openers(api, row, pull, first)
            made = [] if told is None else documents.opens(row, told.contact_ids, first)
            part = Part(made, len(made), *((1,) if told is None else (told.answers, told.following)))
        else:
            path = BLOCKS.path.format(id=row["id"])
            found = _unless_gone(api, lambda: list(walk(api, path, BLOCKS.key, {}, Place()))) or []
            made = documents.blocks([block for one in found for block in one.rows], str(row["id"]))
            part = Part(made, max(len(made), *(one.total or 0 for one in found[-1:]), 0), len(found))
        account = {"account_id": pull.settings.account_id}
        return replace(part, documents=[(name, {**fields, **account}) for name, fields in part.documents])

    def _document(self, api: Rest, kind: Kind, row: Row, beside: Sequence[Row], pull: Pull) -> Document:
        # What is told only as it stands now is told of the last whole day.
        yesterday = self._today() - timedelta(days=1)
        if kind is CAMPAIGNS:
            name, fields = documents.campaign(row, beside, _utm(api, row), self._complaints(api, row, pull))
        elif kind is AUTOMATION_MAILS:
            name, fields = documents.automation_mail(row, yesterday, _utm(api, row), complaints(api, row, pull))
        elif kind is AUTOMATIONS:
            name, fields = documents.automation(row, yesterday)
        elif kind is LISTS:
            name, fields = documents.mail_list(row, yesterday)
        elif kind is CONTACTS:
            name, fields = documents.contact(row, beside)
        else:
            name, fields = {MESSAGES.path: documents.message, PASSAGES.path: documents.passage}[kind.path](row)
        return name, {**fields, "account_id": pull.settings.account_id}

    def _complaints(self, api: Rest, row: Row, pull: Pull) -> Any:
        since = self._today() - COMPLAINTS_HISTORY
        is_old = pull.since < since and not CAMPAIGNS.takes(row, (), since, self._today())
        return None if is_old else complaints(api, row, pull)

    @contextmanager
    def _account(self, pull: Pull) -> Iterator[Rest]:
        """The API of a tenant's account: one for all its requests, as they are counted together."""
        account, key = pull.settings.account_id or "", pull.credentials.strip()
        if (account, key) not in self._apis:
            self._apis[account, key] = Rest(
                "ActiveCampaign",
                self._endpoint.format(account=account),
                {"Api-Token": key},
                per_second=self._per_second,
                patience_seconds=self._patience_seconds,
                call_seconds=self._call_seconds,
            )
        try:
            yield self._apis[account, key]
        except Rejected as error:
            if error.fields.get("status_given") not in NO_ACCOUNT:
                raise
            raise CredentialsRefused(
                "there is no such ActiveCampaign account, or it is not paid for",
                status_given=error.fields["status_given"],
                account=account,
            ) from error


def _utm(api: Rest, row: Row) -> str | None:
    own = own_utm_campaign(row)
    if own is not None:
        return own
    answer = _one(api, f"campaigns/{row['id']}/links", {"limit": LIMIT}) or {}
    return utm_campaign(answer.get("links", []))


def _one(api: Rest, path: str, parameters: Mapping[str, Any]) -> Any:
    """The answer about one object; None where there is no such one (any more)."""
    return _unless_gone(api, lambda: api.get(f"/api/3/{path}", parameters))


def _unless_gone(api: Rest, ask: Callable[[], T]) -> T | None:
    """What `ask` answers; None where what it asks about is not there, though the account is."""
    try:
        return ask()
    except Rejected as error:
        if error.fields.get("status_given") != 404:
            raise
    api.get(ME)
    return None


def _reported(total: int | None, left_out: int) -> int | None:
    return None if total is None else max(0, total - left_out)


def _beside(kind: Kind, answer: Mapping[str, Any]) -> dict[str, list[Row]]:
    """What was answered beside the list, by the id of the object that it belongs to."""
    belonging: dict[str, list[Row]] = defaultdict(list)
    if kind.include and kind.include not in answer:
        raise Rejected("ActiveCampaign leaves out what was asked for", asked=kind.path, missing=kind.include)
    owner = "contact" if kind is CONTACTS else "campaignid"
    for row in answer.get(kind.include, []):
        belonging[str(row.get(owner))].append(row)
    return belonging


def _kind(feed: Feed) -> Kind:
    if not isinstance(feed, Kind):
        raise TypeError(f"{feed.collection.name} is no feed of ActiveCampaign")
    return feed
