"""How the shop's customers were won, as its checkout notes it; of most the channel is drawn from Google Analytics.

Those whom ads won are invented: guests who leave their name with their first order, and a few of a year ago, who never
came back. Of late fewer come for the same money (cust_ltv_cac_low).
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from random import Random

from infra.local.sample.incident import Planted
from infra.local.sample.stripe_objects import Account, Object

ADS = "Paid Search"
PLANTED: tuple[Planted, ...] = (
    Planted("cust_ltv_cac_low", "channel", ADS, "Ads win half the customers that they used to, for the same money."),
)
USED_TO, OF_LATE, LATE = 2.4, 1.35, 43
"""New customers of ads a day, and how many of late: in so many last days."""
YEAR_AGO = range(367, 391, 2)
"""Days ago on which others came, whose first year is over."""


def note(account: Account, today: date, purchases: Mapping[str, int]) -> None:
    """Tell of customers how they were won; purchases: those that Google Analytics counts, by channel."""
    channels = {name: count for name, count in purchases.items() if not name.startswith("Paid")}
    for customer in account.lists["customers"]:
        dice = Random(f"won-{customer['email']}")  # noqa: S311  (a sample)
        [channel] = dice.choices(list(channels), list(channels.values()))
        customer["metadata"] = {"channel": channel}
    _win(account, today)
    for number, ago in enumerate(YEAR_AGO):
        at = datetime.combine(today, datetime.min.time()) - timedelta(days=ago) + timedelta(hours=15)
        buyer = _customer(account, at, f"once-{number}@example.com", "US")
        charge = account.charge(at, 4_000 + 400 * number, f"pi_once_{number:02d}", buyer, buyer["email"], "US")
        charge["metadata"] = {"order_id": f"once-{number:02d}", "product_id": "stickers"}


def _win(account: Account, today: date) -> None:
    """Make customers of some guests, day by day, with all that they ever bought."""
    guests: dict[str, list[Object]] = {}
    for charge in account.lists["charges"]:
        if charge["customer"] is None:
            guests.setdefault(charge["receipt_email"], []).append(charge)
    due = 0.0
    on = None
    for email, charges in guests.items():
        at = datetime.fromtimestamp(charges[0]["created"], UTC).replace(tzinfo=None)
        if at.date() != on:
            on = at.date()
            due = due % 1 + (OF_LATE if (today - on).days <= LATE else USED_TO)
        if due < 1:
            continue
        due -= 1
        buyer = _customer(account, at, email, charges[0]["billing_details"]["address"]["country"])
        for charge in charges:
            charge["customer"] = buyer["id"]


def _customer(account: Account, at: datetime, email: str, country: str) -> Object:
    made = account.customer(at, email, country)
    made["metadata"] = {"channel": ADS}
    return made
