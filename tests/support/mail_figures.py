"""What follows from the account of tests/support/mail.py, in plain Python: each entity type's figures by day and id."""

import re
from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import Any

from shared.sources.records import (
    AcAutomation,
    AcAutomationBlock,
    AcAutomationMail,
    AcCampaign,
    AcContact,
    AcContactAutomation,
    AcMessage,
    AcOpens,
    GaTrafficSource,
    SourceRow,
    StripeCharge,
    StripeCustomer,
)
from tests.support.mail import TODAY, account

DAY = timedelta(days=1)
YESTERDAY = TODAY - DAY
Expected = dict[tuple[date, str], dict[str, Any]]


class Account:
    """What is in the account, and what follows from it."""

    def __init__(self, rows: list[SourceRow]) -> None:
        self.rows = rows
        self.told = {row.date for row in self.of(GaTrafficSource)}
        self.utms = {spelled(row.session_campaign_name) for row in self.of(GaTrafficSource)}

    def of(self, kind: type[Any]) -> list[Any]:
        return [row for row in self.rows if type(row) is kind]

    def name(self, mail: Any) -> str | None:
        """The name that visits from a mail carry."""
        named = mail.utm_campaign or (mail.name if spelled(mail.name) in self.utms else None)
        return named and spelled(named)

    def visits(self, name: str, days: set[date]) -> tuple[float, float]:
        """Revenue and orders of visits by mail of these days."""
        rows = [
            row
            for row in self.of(GaTrafficSource)
            if spelled(row.session_campaign_name) == name
            and row.date in days
            and row.session_default_channel_group in ("Email", "Unassigned")
        ]
        return sum(row.purchase_revenue for row in rows), sum(row.key_events for row in rows)

    def brought(self, campaign: AcCampaign) -> tuple[float, float] | None:
        """Revenue and orders: of its day and two more, until its name's next mail, shared with those of its day."""
        name = self.name(campaign)
        if name is None or campaign.date not in self.told:
            return None
        same = [one for one in self.of(AcCampaign) if self.name(one) == name]
        later = min((one.date for one in same if one.date > campaign.date), default=date.max)
        days = {day for day in (campaign.date, campaign.date + DAY, campaign.date + 2 * DAY) if day < later}
        beside = [one for one in same if one.date == campaign.date]
        clicks = sum(one.subscriberclicks for one in beside)
        share = campaign.subscriberclicks / clicks if clicks else 1 / len(beside)
        revenue, orders = self.visits(name, days)
        return revenue * share, orders * share

    def kind(self, campaign: AcCampaign) -> str:
        numbered = re.fullmatch(r"(\w[\w ]*?)(?: \d+| \| [\d-]+)", campaign.name)
        return f"{self.audience(campaign)}/{numbered[1] if numbered else 'single'}"

    def audience(self, campaign: AcCampaign) -> str:
        return "+".join(campaign.list_ids) or "(none)"

    def rises(self) -> list[tuple[AcAutomationMail, dict[str, int]]]:
        """What each mail's counts rose by on each day but the first that was kept."""
        kept = sorted(self.of(AcAutomationMail), key=lambda mail: mail.date)
        found = []
        for mail in kept:
            if mail.date == kept[0].date:
                continue
            before = [one for one in kept if one.campaign_id == mail.campaign_id and one.date < mail.date]
            names = ("send_amt", "uniqueopens", "hardbounces", "softbounces", "complaints")
            rise = {name: max(0, getattr(mail, name) - (getattr(before[-1], name) if before else 0)) for name in names}
            found.append((mail, rise))
        return found

    def passed(self) -> dict[tuple[date, str, str], int]:
        """Mails that contacts were sent on their ways, up to the first day that was kept."""
        first = min(mail.date for mail in self.of(AcAutomationMail))
        blocks, found = {block.block_id: block for block in self.of(AcAutomationBlock)}, defaultdict(int)
        for way in self.of(AcContactAutomation):
            if way.last_block_id is None:
                continue
            path = blocks[way.last_block_id].path
            seconds = int((way.last_at - way.entered_at).total_seconds())
            for place, block_id in enumerate(path):
                block = blocks[block_id]
                sent = way.entered_at + timedelta(seconds=seconds * place // max(len(path) - 1, 1))
                if block.campaign_id and sent.date() <= first:
                    found[sent.date(), way.automation_id, block.campaign_id] += 1
        return found

    def sent(self) -> dict[tuple[date, str, str], int]:
        """Mails of automations by day."""
        found = defaultdict(int, self.passed())
        for mail, rise in self.rises():
            found[mail.date, mail.automation_id, mail.campaign_id] += rise["send_amt"]
        return found

    def automation_mails(self) -> dict[str, tuple[AcAutomationMail, str | None]]:
        """The newest of each, and its name, where no campaign has the same."""
        taken = {self.name(one) for one in self.of(AcCampaign)}
        newest = {one.campaign_id: one for one in sorted(self.of(AcAutomationMail), key=lambda mail: mail.date)}
        named = {key: self.name(one) for key, one in newest.items()}
        return {key: (one, None if named[key] in taken else named[key]) for key, one in newest.items()}

    def automation_visits(self, day: date) -> list[tuple[AcAutomationMail, float]]:
        """What mails of automations brought on a day."""
        mails = self.automation_mails().values()
        names = [name for _, name in mails]
        return [(mail, self.visits(name, {day})[0] / names.count(name)) for mail, name in mails if name]

    def members(self) -> list[tuple[AcContact, str, date, date]]:
        """Contacts on lists, since a day and until one."""
        found = []
        for contact in self.of(AcContact):
            for on in contact.lists:
                ends = {2: on.unsubscribed_at, 3: contact.bounced_at}
                until = date.max if on.status == 1 else day_of(ends.get(on.status))
                if contact.is_deleted:
                    until = min(until, day_of(contact.deleted_at or contact.updated_at))
                found.append((contact, on.list_id, (on.subscribed_at or contact.created_at).date(), until))
        return found


def spelled(name: str) -> str:
    return name.strip().lower()


def day_of(moment: datetime | None) -> date:
    return moment.date() if moment else date.min


def days(longest: int) -> list[date]:
    return [TODAY - timedelta(days=ago) for ago in range(longest, 0, -1)]


def total(parts: list[float | None]) -> float | None:
    """A sum, that is not known where one of its parts is not."""
    return None if None in parts else sum(part for part in parts if part is not None)


WORLD = Account(account())


def counts(campaigns: list[AcCampaign]) -> dict[str, Any]:
    return {
        "sends": sum(one.send_amt for one in campaigns),
        "delivered": sum(max(0, one.send_amt - one.hardbounces - one.softbounces) for one in campaigns),
        "opens": sum(one.uniqueopens for one in campaigns),
        "clicks_email": sum(one.subscriberclicks for one in campaigns),
        "unsubscribes": sum(one.unsubscribes for one in campaigns),
        "hard_bounces": sum(one.hardbounces for one in campaigns),
        "soft_bounces": sum(one.softbounces for one in campaigns),
    }


def email_campaign() -> Expected:
    known = {spelled(row.session_campaign_name): row.session_campaign_name for row in WORLD.of(GaTrafficSource)}
    return {
        (one.date, one.campaign_id): counts([one])
        | {
            "email_type": WORLD.kind(one),
            "title": one.name,
            "utm_campaign": known.get(WORLD.name(one) or "", one.utm_campaign),
        }
        for one in WORLD.of(AcCampaign)
    }


def email_type() -> Expected:
    grouped = defaultdict(list)
    for one in WORLD.of(AcCampaign):
        grouped[one.date, WORLD.kind(one)].append(one)
    made = {}
    for key, sends in grouped.items():
        brought, verified = [WORLD.brought(one) for one in sends], [one.verified_unique_opens for one in sends]
        made[key] = counts(sends) | {
            "email_revenue": total([each and each[0] for each in brought]),
            "email_orders": total([each and each[1] for each in brought]),
            "verified_opens": total(verified),
            "machine_opens": total(
                [None if it is None else one.uniqueopens - it for one, it in zip(sends, verified, strict=True)]
            ),
        }
    return made


def email_list_hour() -> Expected:
    grouped = defaultdict(list)
    for one in WORLD.of(AcCampaign):
        # Where the account's own hour was never kept, that of UTC stands in for it.
        hour = 23 if one.sent_hour is None else one.sent_hour
        grouped[one.date, WORLD.audience(one), hour].append(one)
    return {
        (day, f"{audience}/{hour:02}"): {"email_list": audience}
        | {name: counts(sends)[name] for name in ("delivered", "clicks_email")}
        for (day, audience, hour), sends in grouped.items()
    }


def sending_domain() -> Expected:
    domains = {one.message_id: one.from_domain or "(not set)" for one in WORLD.of(AcMessage)}
    parts = defaultdict(list)

    def add(day: date, mail: Any, sends: int, hard: int, soft: int, complaints: int | None, revenue: Any) -> None:
        delivered = max(0, sends - hard - soft)
        parts[day, domains.get(mail.message_id, "(not set)")].append(
            (sends, delivered, hard, soft, complaints, revenue)
        )

    for one in WORLD.of(AcCampaign):
        brought = WORLD.brought(one)
        add(one.date, one, one.send_amt, one.hardbounces, one.softbounces, one.complaints, brought and brought[0])
    for mail, rise in WORLD.rises():
        add(mail.date, mail, rise["send_amt"], rise["hardbounces"], rise["softbounces"], rise["complaints"], 0)
    flow_days = {row.date - n * DAY for kind in (AcCampaign, AcAutomationMail, GaTrafficSource, AcMessage)
                 for row in WORLD.of(kind) for n in range(3)}  # fmt: skip
    for day in WORLD.told & flow_days:
        for mail, revenue in WORLD.automation_visits(day):
            add(day, mail, 0, 0, 0, 0, revenue)
    names = ("sends", "delivered", "hard_bounces", "soft_bounces", "complaints", "email_revenue")
    return {
        key: {name: total([row[place] for row in rows]) for place, name in enumerate(names)}
        for key, rows in parts.items()
    }


def email_list() -> Expected:
    members = WORLD.members()
    began = {name: min(since for _, on, since, _ in members if on == name) for name in "12"} | {"3": YESTERDAY - DAY}
    made = {}

    def active(day: date, name: str) -> list[tuple[AcContact, date]]:
        return [(contact, since) for contact, on, since, until in members if on == name and since <= day < until]

    for day in days(220):
        for name in (name for name, since in began.items() if since <= day):
            revenue: list[float | None] = [] if day in WORLD.told else [None]
            for sent in (one for one in WORLD.of(AcCampaign) if one.date == day and name in one.list_ids):
                reached = {each: len(active(day, each)) for each in sent.list_ids}
                brought = WORLD.brought(sent)
                revenue.append(brought and brought[0] * reached[name] / sum(reached.values()))
            those = active(day, name)
            made[day, name] = {
                "active_contacts": len(those),
                "engaged_contacts": sum(is_engaged(contact, since, day) for contact, since in those),
                "email_revenue": total(revenue),
                "title": f"List {name}",
            }
    return made


def answered(contact: AcContact, day: date) -> date:
    """When it last opened or clicked, as far as is told: of mails that it opened, when they were sent."""
    told = [day_of(moment) for moment in (contact.last_opened_at, contact.last_clicked_at)]
    told += [one.date for one in WORLD.of(AcOpens) if contact.contact_id in one.contact_ids]
    return max((each for each in told if each <= day), default=date.min)


def is_engaged(contact: AcContact, since: date, day: date) -> bool:
    return day < since + 90 * DAY or answered(contact, day) > day - 90 * DAY


def contact_segment() -> Expected:
    emails = {one.customer_id: one.email for one in WORLD.of(StripeCustomer)}
    bought, known = defaultdict(set), defaultdict(set)
    for one in WORLD.of(StripeCharge):
        if one.status == "succeeded" and not one.refunded:
            bought[emails.get(one.customer_id, one.email)].add(one.date)
    for one in WORLD.of(StripeCustomer):
        known[one.email].add(one.date)
    for email, those in bought.items():
        known[email] |= those
    made: Expected = {}
    for day in days(100):
        lists: dict[str, list[tuple[date, str]]] = defaultdict(list)
        for contact, name, since, until in WORLD.members():
            if since <= day < until:
                lists[contact.contact_id].append((since, name))
        for contact in (one for one in WORLD.of(AcContact) if lists[one.contact_id]):
            row = made.setdefault(
                (day, min(lists[contact.contact_id])[1]),
                dict.fromkeys(("buyers", "dormant_buyers", "matched_buyers"), 0),
            )
            last = max((each for each in bought[contact.email] if each <= day), default=None)
            row["buyers"] += any(each <= day for each in known[contact.email])
            row["matched_buyers"] += last is not None
            is_quiet = max(day_of(contact.last_mailed_at), answered(contact, day)) <= day - 60 * DAY
            row["dormant_buyers"] += last is not None and 90 <= (day - last).days <= 365 and is_quiet
    return made


def automation() -> Expected:
    sent, ways = WORLD.sent(), WORLD.of(AcContactAutomation)
    made = {}
    for name in "123":
        seen = [one.date for one in (*ways, *WORLD.of(AcAutomation)) if one.automation_id == name]
        is_named = any(utm for mail, utm in WORLD.automation_mails().values() if mail.automation_id == name)
        for day in (day for day in days(100) if day >= min(seen)):
            earned = sum(revenue for mail, revenue in WORLD.automation_visits(day) if mail.automation_id == name)
            made[day, name] = {
                "sends": sum(number for (on, one, _), number in sent.items() if (on, one) == (day, name)),
                "entries": sum((way.date, way.automation_id) == (day, name) for way in ways),
                "email_revenue": earned if is_named and day in WORLD.told else None,
                "title": f"Automation {name}",
            }
    return made


def automation_step() -> Expected:
    sent, ways, rises = WORLD.sent(), WORLD.of(AcContactAutomation), WORLD.rises()
    blocks = {block.block_id: block for block in WORLD.of(AcAutomationBlock)}
    first, dropped = min(mail.date for mail in WORLD.of(AcAutomationMail)), defaultdict(int)
    for way in ways:
        passed = [blocks[each].campaign_id for each in blocks[way.last_block_id].path] if way.last_block_id else []
        mails = [each for each in passed if each]
        if way.left_at and not way.completed and mails:
            dropped[way.left_at.date(), mails[-1]] += 1
    made = {}
    for mail, _ in WORLD.automation_mails().values():
        began = min(way.date for way in ways if way.automation_id == mail.automation_id)
        for day in (day for day in days(100) if day >= began):
            opens = [
                rise["uniqueopens"] for one, rise in rises if (one.date, one.campaign_id) == (day, mail.campaign_id)
            ]
            made[day, f"{mail.automation_id}/{mail.campaign_id}"] = {
                "sends": sent.get((day, mail.automation_id, mail.campaign_id), 0),
                "opens": sum(opens) if day > first else None,
                "dropouts": dropped[day, mail.campaign_id],
                "automation": mail.automation_id,
                "title": mail.name,
            }
    return made


EXPECTED = (
    email_campaign,
    email_type,
    email_list_hour,
    sending_domain,
    email_list,
    contact_segment,
    automation,
    automation_step,
)
