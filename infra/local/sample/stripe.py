"""What the shop's Stripe account holds: its orders of three months and the members of its club of thirteen.

All of it is invented, but for the revenue of each day, which is near that of Google Analytics (README.md).
"""

from collections import Counter
from datetime import date, datetime
from functools import cache

from infra.local.sample.incident import Planted
from infra.local.sample.sample import Sample
from infra.local.sample.stripe_club import Club
from infra.local.sample.stripe_objects import Account, Object
from infra.local.sample.stripe_shop import Shop
from infra.local.sample.stripe_won import note

PROPERTY = "properties/213025502"

PLANTED: tuple[Planted, ...] = (
    Planted("sub_churn_spike", "plan", "club_month", "Twice as many members leave the monthly club as used to."),
    Planted("sub_downgrade_wave", "plan", "club_plus_month", "Members of the dear plan step down to the cheap one."),
    Planted("sub_card_expiring", "property", PROPERTY, "Twelve cards expire before the next renewal."),
    Planted("cust_dispute_rate", "property", PROPERTY, "Somebody buys with stolen cards."),
    Planted("revenue_refund_spike", "property", PROPERTY, "A bad batch: one order in twelve comes back."),
    Planted("cust_high_value_at_risk", "customer", "", "They bought every nine days, and stopped."),
)


@cache
def objects(today: date) -> dict[str, list[Object]]:
    """The account's objects by the name of their list, as they are at the beginning of a day; oldest first."""
    sample = Sample.load(today)
    report = sample.report("ga_property_totals")
    purchases = {_day(row["date"]): int(str(row["keyEvents"])) for row in report}
    revenue = {_day(row["date"]): float(str(row["purchaseRevenue"])) for row in report}
    account = Account(datetime.combine(today, datetime.min.time()))
    club = Club(account, charges_since=datetime.combine(min(purchases), datetime.min.time()))
    club.play()
    Shop(account, today, club.members).sell(purchases, revenue)
    channels = Counter[str]()
    for row in sample.report("ga_traffic_sources"):
        channels[str(row["sessionDefaultChannelGroup"])] += int(str(row["keyEvents"]))
    note(account, today, channels)
    return {name: sorted(made, key=lambda one: int(one["created"])) for name, made in account.lists.items()}


def _day(text: object) -> date:
    return datetime.strptime(str(text), "%Y%m%d").date()
