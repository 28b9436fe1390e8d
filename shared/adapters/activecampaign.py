"""ActiveCampaign's API v3 over plain HTTP: its official clients are older than the API."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx

from shared.adapters.activecampaign_walk import LIMIT, Place, how_many, walk, walk_by_id
from shared.adapters.rest import CALL_SECONDS, PATIENCE_SECONDS, Rest
from shared.errors import CredentialsRefused, Rejected
from shared.sources import activecampaign_documents as documents
from shared.sources import activecampaign_webhook as webhook
from shared.sources.activecampaign import (
    AUTOMATION_MAILS,
    AUTOMATIONS,
    BLOCKS,
    CAMPAIGNS,
    CONTACTS,
    KINDS,
    LISTS,
    MESSAGES,
    NONE,
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
STATUSES = {"unconfirmed": 0, "active": 1, "unsubscribed": 2, "bounced": 3}
"""A contact's status on a list, as the API numbers it."""
NO_ACCOUNT = (402, 404)
"""Not paid for; not there. Lists are there in every account."""

Document = tuple[str, dict[str, Any]]
Row = Mapping[str, Any]


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
        kind, place = _kind(feed), Place.read(position)
        left_out = place.left_out
        with self._account(pull) as api:
            if kind is BLOCKS:
                yield self._blocks(api, pull)
                return
            steps = walk_by_id if kind is CONTACTS else walk
            for found in steps(api, kind.path, kind.key, kind.parameters, place):
                beside = _beside(kind, found.answer)
                taken = [row for row in found.rows if self._takes(kind, row, beside[str(row["id"])], pull)]
                by_row = [self._documents(api, kind, row, beside[str(row["id"])], pull) for row in taken]
                left_out += len(found.rows) - sum(bool(those) for those in by_row)
                made = [document for those in by_row for document in those]
                following = replace(found.place, left_out=left_out).text if found.more else None
                yield Page(made, following, None if found.total is None else max(0, found.total - left_out))

    def check(self, pull: Pull) -> str:
        """The account's name."""
        with self._account(pull) as api:
            api.get("/api/3/users/me")
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

    def _takes(self, kind: Kind, row: Row, beside: Sequence[Row], pull: Pull) -> bool:
        if kind is AUTOMATION_MAILS:
            return is_of_automation(row)
        if kind in (CAMPAIGNS, OPENS) and (is_of_automation(row) or is_unsent(row)):
            return False
        since = max(pull.since, self._today() - OPENS_HISTORY) if kind is OPENS else pull.since
        return kind.takes(row, beside, since, self._today())

    def _documents(self, api: Rest, kind: Kind, row: Row, beside: Sequence[Row], pull: Pull) -> Sequence[Document]:
        """What a row becomes; nothing where the vendor does not tell."""
        if kind is not OPENS:
            return [self._document(api, kind, row, beside, pull)]
        found = _openers(api, row, pull)
        made = [] if found is None else documents.opens(row, found)
        return [(name, {**fields, "account_id": pull.settings.account_id}) for name, fields in made]

    def _document(self, api: Rest, kind: Kind, row: Row, beside: Sequence[Row], pull: Pull) -> Document:
        # What is told only as it stands now is told of the last whole day.
        yesterday = self._today() - timedelta(days=1)
        if kind is CAMPAIGNS:
            name, fields = documents.campaign(row, beside, _utm(api, row), _complaints(api, row, pull))
        elif kind is AUTOMATION_MAILS:
            name, fields = documents.automation_mail(row, yesterday, _utm(api, row), _complaints(api, row, pull))
        elif kind is AUTOMATIONS:
            name, fields = documents.automation(row, yesterday)
        elif kind is LISTS:
            name, fields = documents.mail_list(row, yesterday, _counts(api, row))
        elif kind is CONTACTS:
            name, fields = documents.contact(row, beside)
        else:
            name, fields = {MESSAGES.path: documents.message, PASSAGES.path: documents.passage}[kind.path](row)
        return name, {**fields, "account_id": pull.settings.account_id}

    def _blocks(self, api: Rest, pull: Pull) -> Page:
        """The steps of all automations, which are few: one page."""
        made: list[Document] = []
        for found in walk(api, AUTOMATIONS.path, AUTOMATIONS.key, {}, Place()):
            for automation in found.rows:
                answer = _one(api, BLOCKS.path.format(id=automation["id"]), {"limit": LIMIT}) or {}
                blocks = documents.blocks(answer.get(BLOCKS.key, []), str(automation["id"]))
                made += [(name, {**fields, "account_id": pull.settings.account_id}) for name, fields in blocks]
        return Page(made, following=None, reported=None)

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


def _complaints(api: Rest, row: Row, pull: Pull) -> Any:
    """Spam complaints; None where they are not told."""
    return (_report(api, "unsubscription_totals", row, pull) or {}).get("spam_complaints")


def _openers(api: Rest, row: Row, pull: Pull) -> list[str] | None:
    """Ids of the contacts that opened a campaign, in order; None where they are not told.

    How many an answer holds is nowhere said: the next is asked for until all are there, or nobody is new.
    """
    found: set[str] = set()
    for page in itertools.count(1):
        answer = _report(api, "open_list", row, pull, page=str(page)) or {}
        told = {str(one["subscriberid"]) for place, one in answer.items() if place.isdigit()}
        if page == 1 and not told and str(row.get("uniqueopens")) not in NONE:
            return None
        if told <= found:
            break
        found |= told
        if len(found) >= int(row.get("uniqueopens") or 0):
            break
    return sorted(found, key=int)


def _report(api: Rest, name: str, row: Row, pull: Pull, **more: str) -> Row | None:
    """A report about a campaign that only the API's first version has; None where it does not answer.

    https://www.activecampaign.com/api/overview.php
    Its key belongs into the request, and there into the body: addresses are logged.
    """
    asked = {"api_action": f"campaign_report_{name}", "api_output": "json", "campaignid": row["id"], **more}
    try:
        answer = api.post_form(f"/admin/api.php?{httpx.QueryParams(asked)}", {"api_key": pull.credentials.strip()})
    except Rejected:
        # The third version takes the key: this one is closed to it.
        return None
    return answer if isinstance(answer, Mapping) else None


def _counts(api: Rest, row: Row) -> dict[str, int | None]:
    return {
        name: how_many(api, CONTACTS.path, {"listid": row["id"], "status": number}) for name, number in STATUSES.items()
    }


def _one(api: Rest, path: str, parameters: Mapping[str, Any]) -> Any:
    """The answer about one object; None where there is no such one (any more)."""
    try:
        return api.get(f"/api/3/{path}", parameters)
    except Rejected as error:
        if error.fields.get("status_given") == 404:
            return None
        raise


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
