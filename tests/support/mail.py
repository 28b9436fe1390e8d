"""A small account of ActiveCampaign, the visits and the payments that go with it: odd in every way that one may be."""

from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

from shared.sources.records import (
    AcAutomation,
    AcAutomationBlock,
    AcAutomationMail,
    AcCampaign,
    AcContact,
    AcContactAutomation,
    AcList,
    AcMembership,
    AcMessage,
    AcOpens,
    GaTrafficSource,
    SourceRow,
    StripeCharge,
    StripeCustomer,
)

TODAY = date(2026, 11, 21)
BEGAN, KEPT_SINCE = TODAY - timedelta(days=150), TODAY - timedelta(days=20)
UNREAD = date(2026, 11, 5)
"""A day of which GA4 told nothing."""
OF = {"tenant_id": "t", "account_id": "shop"}


def at(day: date, hour: int = 12) -> datetime:
    """An hour of a day, UTC."""
    return datetime.combine(day, time(hour), UTC)


def campaign(number: int, day: date, name: str, lists: str, utm: str | None, **counts: Any) -> AcCampaign:
    """One that was sent; what is not told of it is none, and its kind of opens is not known where it is None."""
    zero = dict.fromkeys(
        ("opens", "linkclicks", "uniquelinkclicks", "hardbounces", "softbounces", "unsubscribes", "forwards"), 0
    )
    told: dict[str, Any] = {"send_amt": 1000, "uniqueopens": 300, "verified_unique_opens": 200, "complaints": 1}
    told |= {"subscriberclicks": 40, "replies": 0, "sent_hour": 9, "message_id": "m1", **zero, **counts}
    return AcCampaign(
        **OF,
        date=day,
        campaign_id=str(number),
        name=name,
        campaign_type="single",
        status=5,
        list_ids=lists.split(),
        utm_campaign=utm,
        total_amt=told["send_amt"],
        sent_at=at(day, 23),
        **told,
    )


def campaigns() -> list[AcCampaign]:
    """Two kinds of mail, to one list and to both; names that are shared, that are missing, that nobody followed."""
    november = [date(2026, 11, day) for day in range(1, 21)]
    made = [
        campaign(1, november[1], "Newsletter | 2026-11-02", "1", "news-1102", hardbounces=7, softbounces=2),
        campaign(2, november[8], "Newsletter | 2026-11-09", "1", "news-1109", unsubscribes=4),
        campaign(3, november[15], "Newsletter | 2026-11-16", "1", "news-1116", verified_unique_opens=None),
        # The same name two days later: from then on visits are the newer one's.
        campaign(4, november[8], "Promo 1", "1 2", "promo", sent_hour=18, subscriberclicks=90),
        campaign(5, november[10], "Promo 2", "1 2", " Promo", sent_hour=18, complaints=None),
        # The same name on the same day, to two lists.
        campaign(6, november[11], "Twins 1", "1", "twins", subscriberclicks=30),
        campaign(7, november[11], "Twins 1", "2", "twins", subscriberclicks=10, message_id="m2"),
        # The same, and nobody clicked, nor opened.
        campaign(8, november[12], "Quiet 1", "1", "quiet", subscriberclicks=0, uniqueopens=0, verified_unique_opens=0),
        campaign(9, november[12], "Quiet 2", "2", "quiet", subscriberclicks=0, uniqueopens=0, verified_unique_opens=0),
        # Links carry no name: visits carry the campaign's, or none.
        campaign(10, november[13], "Autumn letter", "2", None, message_id="m2"),
        campaign(11, november[13], "Unheard of", "2", None, message_id="gone"),
        campaign(12, november[17], "Nobody came 1", "2", "nobody", message_id=None),
        campaign(13, UNREAD, "Newsletter | 2026-11-05", "1", "news-1105"),
        campaign(14, november[18], "To none of the lists", "", "news-1119", sent_hour=None),
        # More bounces than mails: a vendor's counts may contradict each other.
        campaign(15, november[18], "Newsletter | 2026-11-19", "1", "news-1119", send_amt=3, hardbounces=5),
    ]
    return made


def visits() -> list[GaTrafficSource]:
    """What came by mail, by name; and what did not, though it is called the same."""
    dice, made = Random(7), list[GaTrafficSource]()  # noqa: S311  (a sample)
    names = ("news-1102", "news-1109", "News-1116", "promo", "twins", "quiet", "autumn letter", "news-1105")
    for ago in range(1, 31):
        day = TODAY - timedelta(days=ago)
        if day == UNREAD:
            continue
        rows = [("google", "organic", "(organic)", "Organic Search")]
        rows += [("activecampaign", "email", name, "Email") for name in (*names, "news-1119", "welcome", "cart")]
        rows += [("activecampaign", "newsletter", "promo", "Unassigned"), ("google", "cpc", "promo", "Paid Search")]
        for source, medium, name, channel in rows:
            sessions = dice.randrange(0, 60)
            made.append(
                GaTrafficSource(
                    tenant_id="t",
                    property_id="properties/1",
                    date=day,
                    session_source=source,
                    session_medium=medium,
                    session_campaign_name=name,
                    session_default_channel_group=channel,
                    sessions=sessions,
                    engaged_sessions=sessions // 2,
                    total_users=sessions,
                    new_users=0,
                    key_events=dice.randrange(0, 5),
                    purchase_revenue=dice.randrange(0, 30_000) / 100,
                )
            )
    return made


def messages() -> list[AcMessage]:
    """Who sends; one message is gone."""
    domains = {"m1": "news.example.com", "m2": "shop.example.com", "m3": None}
    return [
        AcMessage(**OF, date=BEGAN, message_id=name, from_domain=domain, created_at=at(BEGAN))
        for name, domain in domains.items()
    ]


def lists() -> list[AcList]:
    """As they stood on the last two days; nobody is on the third."""
    return [
        AcList(**OF, date=TODAY - timedelta(days=ago), list_id=name, name=f"List {name}")
        for name in "123"
        for ago in (1, 2)
    ]


def contacts() -> list[AcContact]:
    """Who joined, left, bounced, was deleted, and when they last opened something."""
    dice, made = Random(11), list[AcContact]()  # noqa: S311  (a sample)

    def some_day(longest: int) -> datetime | None:
        ago, hour = dice.randrange(1, longest), dice.randrange(24)
        return at(TODAY - timedelta(days=ago), hour) if dice.random() < 0.7 else None

    for number in range(60):
        joined = TODAY - timedelta(days=dice.randrange(1, 400))
        is_deleted = number % 12 == 5
        made.append(
            AcContact(
                **OF,
                date=joined,
                contact_id=str(number),
                email=f"hash-{number}" if number % 9 else None,
                created_at=at(joined),
                updated_at=some_day(30),
                last_mailed_at=some_day(200),
                last_opened_at=some_day(300),
                last_clicked_at=some_day(300),
                bounced_at=some_day(100),
                is_deleted=is_deleted,
                deleted_at=some_day(60) if is_deleted else None,
                lists=[
                    AcMembership(
                        list_id=name,
                        status=dice.choice((0, 1, 1, 1, 1, 1, 2, 2, 3)),
                        subscribed_at=some_day(300),
                        unsubscribed_at=some_day(90),
                    )
                    for name in dice.choice(("1", "2", "12", "12", ""))
                ],
            )
        )
    return made


def opens() -> list[AcOpens]:
    """Who opened what, as far as that was told: a contact that is not there among them."""
    dice, made = Random(23), list[AcOpens]()  # noqa: S311  (a sample)
    for ago in range(300, 0, -25):
        for part in (0, 1):
            those = [str(number) for number in range(part, 70, 2) if dice.random() < 0.2]
            day = TODAY - timedelta(days=ago)
            made.append(AcOpens(**OF, date=day, campaign_id=f"{ago}-{part}", contact_ids=those))
    return made


def payments() -> list[SourceRow]:
    """Customers and guests who bought, some of them more than once, some whose payment failed or was given back."""
    dice, made = Random(13), list[SourceRow]()  # noqa: S311  (a sample)
    for number in range(0, 60, 2):
        day = TODAY - timedelta(days=dice.randrange(1, 500))
        is_guest = number % 6 == 0
        if not is_guest:
            made.append(
                StripeCustomer(
                    tenant_id="t", date=day, customer_id=f"cus_{number}", email=f"hash-{number}", created_at=at(day)
                )
            )
        for charge in range(dice.randrange(0, 4)):
            bought = day + timedelta(days=dice.randrange(0, 300))
            if bought >= TODAY:
                continue
            made.append(
                StripeCharge(
                    tenant_id="t",
                    date=bought,
                    charge_id=f"ch_{number}_{charge}",
                    customer_id=None if is_guest else f"cus_{number}",
                    email=f"hash-{number}" if is_guest else "another",
                    currency="USD",
                    amount=10,
                    amount_captured=10,
                    amount_refunded=0,
                    status=dice.choice(("succeeded", "succeeded", "succeeded", "failed")),
                    paid=True,
                    captured=True,
                    refunded=dice.random() < 0.1,
                    disputed=False,
                    created_at=at(bought),
                )
            )
    return made


PATHS = {
    # An automation without branches, and one that parts after its first mail.
    "1": (("a0",), ("a0", "a1"), ("a0", "a1", "a2"), ("a0", "a1", "a2", "a3"), ("a0", "a1", "a2", "a3", "a4")),
    "2": (("b0",), ("b0", "b1"), ("b0", "b1", "b2"), ("b0", "b1", "b3"), ("b0", "b1", "b3", "b4")),
}
MAILS = {"a1": "101", "a3": "102", "b1": "201", "b2": "202", "b3": "203"}


def blocks() -> list[AcAutomationBlock]:
    """The steps of two automations."""
    return [
        AcAutomationBlock(
            **OF,
            date=BEGAN,
            block_id=path[-1],
            automation_id=automation,
            parent_id=path[-2] if len(path) > 1 else None,
            path=list(path),
            position=place,
            block_type="send" if path[-1] in MAILS else "wait" if place else "start",
            campaign_id=MAILS.get(path[-1]),
            created_at=at(BEGAN),
        )
        for automation, paths in PATHS.items()
        for place, path in enumerate(paths)
    ]


def passages() -> list[AcContactAutomation]:
    """Who went through them, how far, and who left before the end."""
    dice, made = Random(17), list[AcContactAutomation]()  # noqa: S311  (a sample)
    for number in range(160):
        automation = dice.choice("12")
        entered = at(TODAY - timedelta(days=dice.randrange(1, 120)), dice.randrange(24))
        path = dice.choice(PATHS[automation])
        reached = min(entered + timedelta(hours=dice.randrange(1, 400)), at(TODAY, 0) - timedelta(hours=1))
        fate = dice.choice(("on its way", "left", "completed"))
        left = min(reached + timedelta(hours=dice.randrange(100)), at(TODAY, 0) - timedelta(minutes=1))
        has_begun = number % 20 > 0
        made.append(
            AcContactAutomation(
                **OF,
                date=entered.date(),
                contact_automation_id=str(number),
                contact_id=str(number % 60),
                automation_id=automation,
                status=1 if fate == "on its way" else 2,
                entered_at=entered,
                left_at=None if fate == "on its way" else left,
                last_block_id=path[-1] if has_begun else None,
                last_at=max(reached, entered) if has_begun else None,
                completed=fate == "completed",
            )
        )
    return made


def kept() -> list[SourceRow]:
    """What was kept of automations and their mails, day by day: a day is missing, a mail is new, a count fell."""
    dice, made, counts = Random(19), list[SourceRow](), dict[str, dict[str, int]]()  # noqa: S311  (a sample)
    utms = {"101": "welcome", "102": "welcome", "201": "cart", "202": None, "203": "promo"}
    for ago in range((TODAY - KEPT_SINCE).days, 0, -1):
        day = TODAY - timedelta(days=ago)
        for name, utm in utms.items():
            rise = {key: dice.randrange(0, 9) for key in ("send_amt", "uniqueopens", "hardbounces", "complaints")}
            before = counts.setdefault(name, dict.fromkeys(rise, 0 if name == "203" else 500))
            counts[name] = {key: before[key] + rise[key] for key in rise}
            if (name, ago) == ("102", 6):
                counts[name]["send_amt"] -= 100
            if ago == 9 or (name == "203" and ago > 5):
                continue
            told = campaign(int(name), day, f"Mail {name}", "", utm, message_id="m1" if name < "200" else "m3")
            fields = told.document() | counts[name] | {"automation_id": name[0]}
            made.append(AcAutomationMail.model_validate(fields))
        for name in "123":
            automation = AcAutomation(**OF, date=day, automation_id=name, name=f"Automation {name}", status=1)
            made.append(automation)
    return made


def account() -> list[SourceRow]:
    """All of it."""
    parts = (campaigns, visits, messages, lists, contacts, opens, payments, blocks, passages, kept)
    return [row for part in parts for row in part()]
