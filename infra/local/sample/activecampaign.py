"""What the shop's ActiveCampaign account holds, as its API spells it: nearly all is text. All of it is invented.

Rates are those of a small list that knows its shop: more opens and clicks than a large one has.
"""

import json
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any

import numpy as np

from infra.local.sample.incident import Planted
from infra.local.sample.mail_automations import AUTOMATIONS, Automation, Passage, passages
from infra.local.sample.mail_contacts import BOUNCED, CONTACTS, UNSUBSCRIBED, Contact, contacts, reached
from infra.local.sample.mail_sends import CUSTOMERS_LIST, NEWSLETTER_LIST, Send, sends

Row = dict[str, Any]
ZONE = "-06:00"
"""The account's. A promotion that is sent at six is sent on the next day in UTC."""
FROM = {NEWSLETTER_LIST: "news@mail.example.com", CUSTOMERS_LIST: "service@mail.example.com"}
SITE = "https://shop.googlemerchandisestore.com"
PLANTED: tuple[Planted, ...] = (
    Planted(
        "email_open_rate_drop", "email_type", "1/Newsletter", "New subject lines: half of the readers do not open."
    ),
    Planted("email_click_rate_drop", "email_type", "1/Promotion", "Phones do not show the button of the last ones."),
    Planted("email_unsubscribe_spike", "email_campaign", "", "The third mail in a week."),
    Planted("email_bounce_spike", "email_campaign", "", "Wrong addresses of a fair were imported."),
    Planted("email_list_fatigue", "email_list", NEWSLETTER_LIST, "Few join the newsletter, and many fall silent."),
    Planted("email_automation_stalled", "automation", "2", "A release took away the form that starts it."),
    Planted("email_automation_dropoff", "automation_step", "1/13", "It asks for a review of what has not come yet."),
    Planted("x_email_to_site_dropoff", "email_campaign", "", "A redirect loses the visitors."),
)


@cache
def objects(today: date) -> dict[str, list[Row]]:
    """The account's objects by the name of their list, as they are at the beginning of a day, by id."""
    people, mails, ways = contacts(today), list(sends(today)), list(passages(today, CONTACTS))
    campaigns = [_automation_mail(one, step, ways) for one in AUTOMATIONS for step in range(1, one.steps + 1)]
    campaigns += [_campaign(one, reached(people, one), people, mails) for one in mails]
    memberships = [_membership(number, one, people) for number, one in enumerate(_on_lists(people), 1)]
    return {
        "campaigns": [*campaigns, _draft(today)],
        "campaignLists": [_on_list(number, one) for number, one in enumerate(mails, 1)],
        "links": [_link(one) for one in mails],
        "messages": [_message(one["message_id"], one["name"], one["cdate"], one["_list"]) for one in campaigns],
        "automations": [_automation(one) for one in AUTOMATIONS],
        "automationBlocks": [block for one in AUTOMATIONS for block in _blocks(one)],
        "contactAutomations": [_passage(number, one) for number, one in enumerate(ways, 1)],
        "lists": [_list(NEWSLETTER_LIST, "Newsletter"), _list(CUSTOMERS_LIST, "Customers")],
        "contacts": [_contact(one, mails) for one in people],
        "contactLists": memberships,
    }


def _counts(send: Send, delivered: int) -> Row:
    random = np.random.default_rng([2023, send.campaign_id])
    opened, read, clicked = send.rates
    opens = random.binomial(delivered, opened)
    verified, clickers = random.binomial(opens, read / opened), random.binomial(delivered, clicked)
    links = clickers + random.binomial(clickers, 0.15)
    return {
        "opens": str(opens + random.poisson(opens * 0.6)),
        "uniqueopens": str(opens),
        "verified_opens": str(verified + random.poisson(verified * 0.5)),
        "verified_unique_opens": str(verified),
        "linkclicks": str(links + random.poisson(clickers * 0.2)),
        "uniquelinkclicks": str(links),
        "subscriberclicks": str(clickers),
        "forwards": str(random.binomial(delivered, 0.001)),
        "replies": str(random.binomial(delivered, 0.0005)),
        "_complaints": str(random.binomial(delivered, 0.0004)),
    }


def _campaign(send: Send, to: Sequence[Contact], people: Sequence[Contact], mails: Sequence[Send]) -> Row:
    list_id = send.letter.list_id
    ended = [on.status for one in people if (on := one.on(list_id)) is not None and on.until == send.day]
    soft = int(np.random.default_rng([2024, send.campaign_id]).binomial(len(to), 0.004))
    sent = _at(send.day, send.letter.hour)
    counts = _counts(send, len(to) - ended.count(BOUNCED) - soft)
    return _mailing(send.campaign_id, send.name, len(to), sent) | {
        **counts,
        "type": "single",
        "status": "5",
        "sdate": sent,
        "ldate": _at(send.day, send.letter.hour, 7),
        "hardbounces": str(ended.count(BOUNCED)),
        "softbounces": str(soft),
        "unsubscribes": str(ended.count(UNSUBSCRIBED)),
        "tracklinksanalytics": "0" if send.names_itself else "1",
        "analytics_campaign_name": "" if send.names_itself else send.utm_campaign,
        "_list": list_id,
        "_openers": _openers(send, to, int(counts["uniqueopens"]), mails),
    }


def _automation_mail(automation: Automation, step: int, ways: Sequence[Passage]) -> Row:
    sent = automation.before + sum(one.mails >= step for one in ways if one.automation is automation)
    began = _at(date(2025, 1, 6), 9)
    return _mailing(automation.campaign_id(step), f"{automation.name}, mail {step}", sent, began) | {
        "opens": str(sent * 6 // 10),
        "uniqueopens": str(sent * 44 // 100),
        "verified_opens": str(sent * 4 // 10),
        "verified_unique_opens": str(sent * 31 // 100),
        "linkclicks": str(sent * 9 // 100),
        "uniquelinkclicks": str(sent * 7 // 100),
        "subscriberclicks": str(sent * 6 // 100),
        "forwards": "0",
        "replies": "0",
        "type": "single",
        "status": "1",
        "sdate": began,
        "ldate": None,
        "hardbounces": str(sent // 500),
        "softbounces": str(sent // 250),
        "unsubscribes": str(sent // 300),
        "seriesid": str(automation.number),
        "automation": str(automation.number),
        "tracklinksanalytics": "1",
        "analytics_campaign_name": automation.name.lower().replace(" ", "-"),
        "_complaints": str(sent // 2500),
        "_list": CUSTOMERS_LIST,
    }


def _draft(today: date) -> Row:
    """What is not sent yet."""
    return _mailing(99_999, "Newsletter | draft", 0, _at(today - timedelta(days=1), 15)) | {
        **dict.fromkeys(("opens", "uniqueopens", "linkclicks", "uniquelinkclicks", "subscriberclicks"), "0"),
        **dict.fromkeys(("hardbounces", "softbounces", "unsubscribes", "forwards", "replies"), "0"),
        "type": "single",
        "status": "0",
        "sdate": None,
        "ldate": None,
        "tracklinksanalytics": "0",
        "analytics_campaign_name": "",
    }


def _mailing(campaign_id: int, name: str, sent: int, made: str) -> Row:
    return {
        "id": str(campaign_id),
        "name": name,
        "seriesid": "0",
        "segmentid": "0",
        "automation": None,
        "cdate": made,
        "mdate": made,
        "send_amt": str(sent),
        "total_amt": str(sent),
        "tracklinks": "all",
        "message_id": str(campaign_id + 500_000),
    }


def _openers(send: Send, to: Sequence[Contact], opens: int, mails: Sequence[Send]) -> list[str]:
    """Who opened a mail: those who opened none of the list after it, others who still do, then machines of who did."""
    random = np.random.default_rng([2027, send.campaign_id])
    list_id = send.letter.list_id
    next_one = min((one.day for one in mails if one.day > send.day and one.letter.list_id == list_id), default=date.max)

    def rank(contact: Contact) -> tuple[bool, int, float]:
        on = contact.on(list_id)
        arrived = not (on and on.status == BOUNCED and on.until == send.day)
        reads = contact.silent_since >= send.day and arrived
        silent_days = 0 if reads else (send.day - contact.silent_since).days
        opens_next = contact.silent_since >= next_one and on is not None and on.is_active_on(next_one)
        return not (reads and not opens_next), silent_days, random.random()

    return sorted((str(one.number) for one in sorted(to, key=rank)[:opens]), key=int)


def _on_list(number: int, send: Send) -> Row:
    list_id, campaign_id = send.letter.list_id, str(send.campaign_id)
    return {"id": str(number), "campaignid": campaign_id, "listid": list_id, "list": list_id, "campaign": campaign_id}


def _link(send: Send) -> Row:
    tagged = f"?utm_source=activecampaign&utm_medium=email&utm_campaign={send.utm_campaign}"
    return {
        "id": str(send.campaign_id + 700_000),
        "campaignid": str(send.campaign_id),
        "campaign": str(send.campaign_id),
        "link": SITE + "/" + (tagged if send.names_itself else ""),
        "tracked": "1",
    }


def _message(message_id: str, name: str, made: str, list_id: str) -> Row:
    subject = name.partition(" | ")[0]
    address = FROM[list_id]
    return {"id": message_id, "name": name, "subject": subject, "fromemail": address, "cdate": made, "mdate": made}


def _automation(automation: Automation) -> Row:
    return {
        "id": str(automation.number),
        "name": automation.name,
        "status": "1",
        "cdate": _at(date(2025, 1, 6), 9),
        "mdate": _at(date(2025, 1, 6), 9),
        "hidden": "0",
    }


def _blocks(automation: Automation) -> list[Row]:
    kinds = ["start", *["send", "wait"] * automation.steps]
    kinds[-1] = "end"
    return [
        {
            "id": str(automation.block_id(position)),
            "automation": str(automation.number),
            "parent": str(automation.block_id(position - 1)) if position else "0",
            "ordernum": str(position),
            "type": kind,
            "params": json.dumps(
                {"campaignid": str(automation.campaign_id((position + 1) // 2))} if kind == "send" else {}
            ),
            "deleted": "0",
            "cdate": _at(date(2025, 1, 6), 9),
        }
        for position, kind in enumerate(kinds)
    ]


def _passage(number: int, way: Passage) -> Row:
    return {
        "id": str(number),
        "contact": str(way.contact),
        "seriesid": str(way.automation.number),
        "automation": str(way.automation.number),
        "status": "2" if way.left else "1",
        "adddate": _at(way.entered, 8),
        "remdate": _at(way.last, 9) if way.left else None,
        "lastblock": str(way.automation.block_id(way.position)),
        "lastdate": _at(way.last, 9),
        "completedElements": str(way.position),
        "totalElements": str(way.automation.end),
        "completed": int(way.completed),
        "completeValue": 100 * way.position // way.automation.end,
    }


def _list(list_id: str, name: str) -> Row:
    return {"id": list_id, "name": name, "stringid": name.lower(), "cdate": _at(date(2022, 3, 1), 9), "private": "0"}


def _contact(contact: Contact, mails: Sequence[Send]) -> Row:
    sent = [one for one in mails if (on := contact.on(one.letter.list_id)) is not None and on.is_active_on(one.day)]
    opened = [one for one in sent if one.day <= contact.silent_since]
    bounced = [on.until for on in contact.memberships if on.status == BOUNCED and on.until is not None]
    newest = max([contact.joined, *(one.day for one in sent), *(on.until for on in contact.memberships if on.until)])
    return {
        "id": str(contact.number),
        "email": contact.email,
        "firstName": "Sample",
        "lastName": f"Reader {contact.number}",
        "phone": "",
        "cdate": _at(contact.joined, 7),
        "udate": _at(newest, 20),
        "edate": _at(sent[-1].day, sent[-1].letter.hour) if sent else None,
        "sentcnt": str(len(sent)),
        "bounced_hard": str(len(bounced[:1])),
        "bounced_soft": "0",
        "bounced_date": bounced[0].isoformat() if bounced else "0000-00-00",
        "last_open_date": _at(opened[-1].day, 21) if opened else None,
        "last_click_date": _at(opened[-1].day, 21) if opened and contact.number % 3 == 0 else None,
        "last_mpp_open_date": None,
        "deleted": "0",
        "deleted_at": "0000-00-00 00:00:00",
    }


def _on_lists(people: Sequence[Contact]) -> list[tuple[int, int]]:
    """Number of each contact, and of each of its memberships."""
    return [(place, number) for place, one in enumerate(people) for number in range(len(one.memberships))]


def _membership(number: int, which: tuple[int, int], people: Sequence[Contact]) -> Row:
    contact, on = people[which[0]], people[which[0]].memberships[which[1]]
    return {
        "id": str(number),
        "contact": str(contact.number),
        "list": on.list_id,
        "status": str(on.status),
        "sdate": _at(on.since, 7),
        "udate": _at(on.until, 20) if on.until else None,
        "unsubreason": "",
    }


def _at(day: date, hour: int, minutes: int = 0) -> str:
    return datetime.combine(day, time(hour, minutes)).isoformat() + ZONE
