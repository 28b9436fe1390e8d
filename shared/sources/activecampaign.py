"""Which of ActiveCampaign's objects Scout pulls, and which of them it leaves out.

Fields are those of https://developers.activecampaign.com/reference/overview.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from shared.sources.records import (
    AcAutomation,
    AcAutomationBlock,
    AcAutomationMail,
    AcCampaign,
    AcContact,
    AcContactAutomation,
    AcList,
    AcMessage,
    AcOpens,
)
from shared.sources.source import Feed

Row = Mapping[str, Any]
NONE = (None, "", "0", 0)
UNSENT = ("0", "1", "6", "7")
"""Draft, scheduled, disabled, held for review."""
HISTORY = timedelta(days=365)
"""A pull that goes back so far is one of the history."""


@dataclass(frozen=True)
class Kind(Feed):
    """One kind of object: where it is listed, and what the list is called in the answer.

    include: what belongs to it, answered beside the list. changed: its fields that say when it changed; none where all
    are pulled every time. lasts: one that has not changed for long counts all the same: pulls of the history take it.
    """

    account: tuple[str, ...] = ("account_id",)
    path: str = ""
    key: str = ""
    include: str = ""
    changed: tuple[str, ...] = ()
    lasts: bool = False

    @property
    def parameters(self) -> dict[str, str]:
        """Of a request for the list, or for one of it."""
        return {"include": self.include} if self.include else {}

    def takes(self, row: Row, beside: Iterable[Row], since: date, today: date) -> bool:
        """True where something of a row, or of what belongs to it, changed on a day since `since`, or may have."""
        if self.lasts and since <= today - HISTORY:
            return True
        told = [row.get(name) for name in self.changed]
        told += [one.get(name) for one in beside for name in ("sdate", "udate", "updated_timestamp")]
        days = [str(day)[:10] for day in told if day and not str(day).startswith("0000")]
        return not days or max(days) >= since.isoformat()


CAMPAIGNS = Kind(
    AcCampaign,
    mutable=True,
    path="campaigns",
    key="campaigns",
    include="campaignLists",
    # Counts go on rising after the last of these days: what was sent within the restated days is pulled again.
    changed=("sdate", "ldate", "mdate", "updated_timestamp"),
)
OPENS = Kind(AcOpens, path="campaigns", key="campaigns", changed=CAMPAIGNS.changed)
"""Who opened them: of contacts the API itself tells their last open alone, which says nothing of months gone by."""
OPENS_HISTORY = timedelta(days=310)
"""Who is engaged is compared over seven months, and in each of them is who opened a mail of the 90 days before."""
COMPLAINTS_HISTORY = timedelta(days=91)
"""No detector looks further back at them: a longer pull asks for those of no campaign that is older."""
MESSAGES = Kind(AcMessage, path="messages", key="messages", changed=("cdate", "mdate"), lasts=True)
AUTOMATION_MAILS = Kind(AcAutomationMail, once=True, path="campaigns", key="campaigns")
AUTOMATIONS = Kind(AcAutomation, once=True, path="automations", key="automations")
BLOCKS = Kind(AcAutomationBlock, path="automations/{id}/blocks", key="automationBlocks")
PASSAGES = Kind(
    AcContactAutomation,
    path="contactAutomations",
    key="contactAutomations",
    changed=("adddate", "remdate", "lastdate"),
)
LISTS = Kind(AcList, once=True, path="lists", key="lists")
CONTACTS = Kind(
    AcContact,
    mutable=True,
    # Passages stay, as what happened; so do messages and blocks, which tell what is past.
    listed="contact_id",
    path="contacts",
    key="contacts",
    include="contactLists",
    changed=("cdate", "udate", "adate", "edate", "last_open_date", "last_click_date", "bounced_date", "deleted_at"),
    lasts=True,
)
KINDS = (MESSAGES, CONTACTS, PASSAGES, AUTOMATIONS, BLOCKS, LISTS, CAMPAIGNS, AUTOMATION_MAILS, OPENS)
"""As they are pulled: campaigns last, as more must be asked about each of them."""


def is_of_automation(row: Row) -> bool:
    """True for a campaign that an automation sends."""
    return any(row.get(name) not in NONE for name in ("seriesid", "automation"))


def is_unsent(row: Row) -> bool:
    """True for a campaign that nobody was sent yet: its day may still change."""
    return str(row.get("status")) in UNSENT and row.get("send_amt") in NONE


def utm_campaign(links: Iterable[Row]) -> str | None:
    """The utm_campaign that most links of a campaign carry; None where none does."""
    found = [
        value
        for link in links
        for value in parse_qs(urlsplit(str(link.get("link") or "")).query).get("utm_campaign", [])
    ]
    return max(found, key=lambda value: (found.count(value), value), default=None)


def own_utm_campaign(row: Row) -> str | None:
    """The utm_campaign that ActiveCampaign itself adds to a campaign's links, where it was told to."""
    return (row.get("analytics_campaign_name") or None) if str(row.get("tracklinksanalytics")) == "1" else None
