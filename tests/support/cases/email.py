"""E-mail: sends by list and type, campaigns, lists, automations."""

from collections.abc import Iterator

from tests.support.detector_cases import DAYS, Metrics, ramp, steady
from tests.support.detectors import AS_OF, Row, series

SENDS, EVERY = 16, 5
"""Sends, and a send in how many days: four current ones after twelve before."""
MONTHS_BACK = 202
"""Days back to the first of six whole months."""

FOUND = {
    ("email_open_rate_drop", "email_type", "news/opens", "down"),
    ("email_open_rate_drop", "email_type", "news/masked", "down"),
    ("email_click_rate_drop", "email_type", "news/clicks", "down"),
    ("email_unsubscribe_spike", "email_campaign", "campaign/unsubscribed", "up"),
    ("email_bounce_spike", "email_campaign", "campaign/bounced", "up"),
    ("email_spam_complaints", "sending_domain", "mail.example.com", "up"),
    ("email_list_fatigue", "email_list", "newsletter", "down"),
    ("email_dormant_winback", "contact_segment", "customers", "level"),
    ("email_send_time_gain", "email_list_hour", "newsletter/18", "level"),
    ("email_automation_stalled", "automation", "welcome", "down"),
    ("email_automation_dropoff", "automation_step", "onboarding/4", "level"),
    ("email_revenue_per_send_drop", "email_type", "news/revenue", "down"),
}


def _send(
    delivered: float,
    opens: float = 300,
    clicks: float = 50,
    revenue: float = 150.0,
    orders: float = 3,
    unsubscribes: int = 2,
    **attributes: float,
) -> Row:
    return {
        "sends": int(delivered) + 5,
        "delivered": int(delivered),
        "opens": int(opens),
        "clicks_email": int(clicks),
        "unsubscribes": unsubscribes,
        "hard_bounces": 1,
        "attributes": {"email_revenue": revenue, "email_orders": orders, **attributes},
    }


def _sends(before: Row, after: Row) -> Metrics:
    """The last four sends are others than the twelve before."""
    return lambda ago: None if ago % EVERY else dict(after if ago < 4 * EVERY else before)


def _once(row: Row) -> Metrics:
    return lambda ago: dict(row) if ago == 3 else None


def _campaign(sends: int, delivered: int, unsubscribes: int, hard_bounces: int) -> Metrics:
    return _once(
        {
            "sends": sends,
            "delivered": delivered,
            "unsubscribes": unsubscribes,
            "hard_bounces": hard_bounces,
            "attributes": {"email_type": "news/steady"},
        }
    )


def _list(active: int) -> Metrics:
    """Half of the list is engaged in the first month, and four of a hundred fewer each month after."""

    def metrics(ago: int) -> Row:
        month = AS_OF.toordinal() - ago
        months = type(AS_OF).fromordinal(month).month - 4
        engaged = active * (0.5 - 0.04 * months)
        return {"attributes": {"active_contacts": active, "engaged_contacts": engaged, "email_revenue": 40.0}}

    return metrics


def _segment(dormant: int) -> Metrics:
    return steady(attributes={"dormant_buyers": dormant, "buyers": 2_000, "matched_buyers": 1_900})  # type: ignore[arg-type]


def _hour(delivered: int, clicks: int) -> Row:
    return {"delivered": delivered, "clicks_email": clicks, "attributes": {"email_list": "newsletter"}}


def _automation(sends: int, revenue: float = 5.0) -> Row:
    return {"sends": sends, "attributes": {"entries": sends, "email_revenue": revenue}}


def _step(sends: int, dropouts: int) -> Row:
    return {"sends": sends, "opens": sends // 3, "attributes": {"automation": "onboarding", "dropouts": dropouts}}


def _around() -> Iterator[Row]:
    """The site, and mail on which nothing happens."""
    site = {"sessions": 1_000, "conversions": 20.0, "revenue": 1_000.0, "attributes": {"orders": 20}}
    yield from series("property", "properties/1", DAYS, lambda ago: dict(site))
    yield from series("email_type", "news/steady", SENDS * EVERY, _sends(_send(1_000), _send(1_000)))
    yield from series("email_campaign", "campaign/steady", DAYS, _campaign(1_005, 1_000, 2, 1))
    yield from series("automation", "onboarding", DAYS, lambda ago: _automation(20))
    for number, (sends, dropouts) in enumerate([(20, 4), (16, 3), (13, 2)], start=1):
        yield from series(
            "automation_step",
            f"onboarding/{number}",
            DAYS,
            lambda ago, sends=sends, dropouts=dropouts: _step(sends, dropouts),  # type: ignore[misc]
        )
    yield from series("email_list_hour", "newsletter/09", DAYS, lambda ago: None if ago % 7 else _hour(1_000, 20))


def found() -> Iterator[Row]:
    """One entity for each detector that it finds."""
    yield from _around()
    drops = {
        "news/opens": (_send(1_000), _send(1_000, opens=200)),
        # Opens are mostly a machine's and hold, clicks fall, though by less than opens that hold would need.
        "news/masked": (
            _send(1_000, opens=600, clicks=100, machine_opens=500),
            _send(1_000, opens=600, clicks=77, machine_opens=500),
        ),
        "news/clicks": (_send(1_000), _send(1_000, clicks=25)),
        "news/revenue": (_send(1_000, orders=20), _send(1_000, orders=20, revenue=60.0)),
    }
    for entity_id, (before, after) in drops.items():
        yield from series("email_type", entity_id, SENDS * EVERY, _sends(before, after))
    yield from series("email_campaign", "campaign/unsubscribed", DAYS, _campaign(1_005, 1_000, 20, 1))
    yield from series("email_campaign", "campaign/bounced", DAYS, _campaign(1_000, 950, 1, 50))
    complained = {"delivered": 1_000, "attributes": {"complaints": 2, "email_revenue": 100.0}}
    yield from series("sending_domain", "mail.example.com", DAYS, lambda ago: dict(complained))
    yield from series("email_list", "newsletter", MONTHS_BACK, _list(5_000))
    yield from series("contact_segment", "customers", DAYS, _segment(500))
    evenings = (10, 25, 40, 55, 70)
    yield from series(
        "email_list_hour", "newsletter/18", DAYS, lambda ago: _hour(1_000, 40) if ago in evenings else None
    )
    yield from series("automation", "welcome", DAYS, lambda ago: _automation(0 if ago < 7 else 10))
    yield from series("automation_step", "onboarding/4", DAYS, lambda ago: _step(10, 8))


def edge(more: int) -> Iterator[Row]:
    """The same effects, one unit below a guard's least volume (`more` = 0) or exactly on it (`more` = 1)."""
    yield from _around()
    # 1,000 delivered in four sends; 40 clicks in twelve; 2,000 delivered in four.
    few, clicks, some = ramp(999 + more, 4), ramp(39 + more, 12), ramp(1_999 + more, 4)
    sends_of = {
        "news/opens": lambda send: _send(few(send), opens=20) if send < 4 else _send(1_000),
        "news/clicks": lambda send: _send(1_000, clicks=0 if send < 4 else clicks(send)),
        "news/revenue": lambda send: (
            _send(some(send), opens=150, clicks=25, revenue=1.0) if send < 4 else _send(1_000, orders=20)
        ),
    }
    for entity_id, row in sends_of.items():
        yield from series(
            "email_type",
            entity_id,
            SENDS * EVERY,
            lambda ago, row=row: None if ago % EVERY else row(ago // EVERY),  # type: ignore[misc]
        )
    # 1,000 delivered; 300 sent; 1,000 delivered in 30 days.
    yield from series("email_campaign", "campaign/unsubscribed", DAYS, _campaign(1_010, 999 + more, 30, 1))
    yield from series("email_campaign", "campaign/bounced", DAYS, _campaign(299 + more, 280, 0, 19))
    delivered = ramp(999 + more, 30)
    yield from series(
        "sending_domain",
        "mail.example.com",
        30,
        lambda ago: {"delivered": delivered(ago), "attributes": {"complaints": 10 if ago == 0 else 0}},
    )
    # 1,000 contacts in each month; 100 dormant buyers.
    yield from series("email_list", "newsletter", MONTHS_BACK, _list(999 + more))
    yield from series("contact_segment", "customers", DAYS, _segment(99 + more))
    # 2,000 delivered in four sends.
    evenings = {10: 0, 25: 1, 40: 2, 55: 3}
    yield from series(
        "email_list_hour",
        "newsletter/18",
        DAYS,
        lambda ago: _hour(some(evenings[ago]), 30) if ago in evenings else None,
    )
    # 80 sends in the 28 days before; 200 sends of a step in 90 days.
    sends, step = ramp(79 + more, 28), ramp(199 + more, 90)
    yield from series("automation", "welcome", DAYS, lambda ago: _automation(0 if ago < 7 else sends(ago - 7)))
    yield from series("automation_step", "onboarding/4", 90, lambda ago: _step(step(ago), step(ago)))
