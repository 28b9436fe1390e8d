"""The shop's orders: fewer and larger than those that Google Analytics counts, and of the same revenue day by day."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from random import Random

from infra.local.sample.stripe_club import COUNTRIES
from infra.local.sample.stripe_objects import Account, Object

ORDERS_PER_PURCHASE = 0.35
"""An account of every purchase would be larger than a sample should be."""
PRODUCTS = {
    "backpack": 9,
    "hoodie": 12,
    "tee-dino": 10,
    "tee-super-g": 10,
    "bottle": 8,
    "mug": 7,
    "notebook": 7,
    "onesie": 6,
    "cap": 6,
    "socks": 6,
    "pen-set": 5,
    "stickers": 5,
}
"""The merchant's codes, and how often each is bought."""
SOURCES = {
    ("google", "organic"): 30,
    ("(direct)", "(none)"): 26,
    ("shop.googlemerchandisestore.com", "referral"): 14,
    ("google", "cpc"): 6,
    ("", ""): 24,
}
"""How the merchant's own checkout notes where a buyer came from; of some it does not know."""
REGULARS, LOST = 12, 3
REGULAR_DAYS, LOST_DAYS = 9, 28
"""Regulars buy every so many days; the first few of them have not for so many (cust_high_value_at_risk)."""
OLD_ORDERS = 110
"""Orders of the ten months before, for which there is no revenue of Google Analytics to agree with."""
REFUNDED, REFUNDED_OF_LATE, OF_LATE = 80, 12, 25
"""One order in so many is given back, and, in so many last days, one in fewer (revenue_refund_spike)."""
DISPUTED = 12
"""Charges of the last weeks whose payers dispute them (cust_dispute_rate)."""


class Shop:
    """Sells into an account, to members of the club and others."""

    def __init__(self, account: Account, today: date, members: list[Object]) -> None:
        self._account = account
        self._today = today
        self._dice = Random("shop")  # noqa: S311  (a sample)
        self._guests = 0
        self._buyers = members[::9]
        self._regulars: list[Object] = []
        self._bought = Counter[str]()

    def sell(self, purchases: Mapping[date, int], revenue: Mapping[date, float]) -> None:
        """Orders of the days that Google Analytics tells of, and a few of the months before; refunds and disputes."""
        begun = datetime.combine(self._today, datetime.min.time()) - timedelta(days=395)
        for number in range(REGULARS):
            made_at = begun + timedelta(days=number * 25)
            self._regulars.append(self._account.customer(made_at, f"regular-{number}@example.com", "US"))
        for number in range(60):
            made_at = begun + timedelta(days=number * 5)
            made = self._account.customer(made_at, f"shopper-{number}@example.com", self._dice.choice(COUNTRIES))
            self._buyers.append(made)
        self._sell_before(min(purchases))
        paid = defaultdict[date, int](int)
        for charge in self._account.lists["charges"]:
            if charge["paid"] and not charge["metadata"]:
                paid[_at(charge).date()] += charge["amount"]
        for day in sorted(purchases):
            self._sell_on(day, round(purchases[day] * ORDERS_PER_PURCHASE), round(revenue[day] * 100) - paid[day])
        self._give_back()
        self._dispute()

    def _sell_before(self, first: date) -> None:
        for number in range(OLD_ORDERS):
            day = first - timedelta(days=1 + number * 300 // OLD_ORDERS)
            buyer = self._buyers[number % len(self._buyers)]
            self._bought[buyer["id"]] += 1
            self._order(day, self._dice.randrange(4_000, 20_000), buyer)

    def _sell_on(self, day: date, orders: int, cents: int) -> None:
        """So many orders that bring so much; none where club members' renewals brought it all."""
        if cents < 1_000 or orders == 0:
            return
        ago = (self._today - day).days
        payers: list[Object | None] = [
            payer
            for number, payer in enumerate(self._regulars)
            if ago % REGULAR_DAYS == number % REGULAR_DAYS and (number >= LOST or ago >= LOST_DAYS)
        ]
        payers += [self._somebody() if self._dice.random() < 0.12 else None for _ in range(orders)]
        payers = payers[:orders]
        weights = [self._dice.lognormvariate(0, 0.3) * (2.2 if payer in self._regulars else 1) for payer in payers]
        amounts = [int(cents * weight / sum(weights)) for weight in weights]
        amounts[-1] += cents - sum(amounts)
        for payer, amount in zip(payers, amounts, strict=True):
            self._order(day, amount, payer)

    def _somebody(self) -> Object | None:
        """A buyer who is known, and no regular; a guest where that one has bought twice."""
        buyer = self._dice.choice(self._buyers)
        self._bought[buyer["id"]] += 1
        return buyer if self._bought[buyer["id"]] <= 2 else None

    def _order(self, day: date, amount: int, payer: Object | None) -> None:
        at = datetime.combine(day, datetime.min.time()) + timedelta(seconds=self._dice.randrange(82_000))
        number = len(self._account.lists["charges"]) + 1
        email, country = self._who(payer)
        intent = f"pi_order_{number:05d}"
        [product] = self._dice.choices(list(PRODUCTS), list(PRODUCTS.values()))
        [(source, medium)] = self._dice.choices(list(SOURCES), list(SOURCES.values()))
        noted = {"order_id": f"order-{number:05d}", "product_id": product}
        noted |= {"utm_source": source, "utm_medium": medium} if source else {}
        if self._dice.random() < 0.14:
            noted["coupon"] = "WELCOME10"
            self._account.intent(at, intent, amount, amount // 9)
        if self._dice.random() < 0.04:
            self._account.charge(at, amount, intent, payer, email, country, paid=False)["metadata"] = noted
        self._account.charge(at + timedelta(minutes=2), amount, intent, payer, email, country)["metadata"] = noted

    def _who(self, payer: Object | None) -> tuple[str, str]:
        """E-mail and country; of a guest, who may have been here before."""
        if payer is not None:
            return payer["email"], payer["address"]["country"]
        again = self._guests > 20 and self._dice.random() < 0.1
        number = self._dice.randrange(self._guests) if again else self._guests
        self._guests += not again
        return f"guest-{number}@example.com", COUNTRIES[number % len(COUNTRIES)]

    def _orders(self) -> list[Object]:
        return [one for one in self._account.lists["charges"] if one["paid"] and one["metadata"]]

    def _give_back(self) -> None:
        """Refund some orders days later, some of them in part."""
        for number, charge in enumerate(self._orders()):
            at = _at(charge) + timedelta(days=2 + number % 5)
            ago = (self._today - at.date()).days
            if ago >= 1 and number % (REFUNDED_OF_LATE if ago <= OF_LATE else REFUNDED) == 0:
                self._account.refund(at, charge, charge["amount"] // (2 if number % 5 == 0 else 1))

    def _dispute(self) -> None:
        kept = [one for one in self._orders() if 4 <= self._ago(one) <= 26 and not one["amount_refunded"]]
        for charge in kept[:: len(kept) // DISPUTED][:DISPUTED]:
            self._account.dispute(_at(charge) + timedelta(days=3), charge)

    def _ago(self, made: Object) -> int:
        return (self._today - _at(made).date()).days


def _at(made: Object) -> datetime:
    return datetime.fromtimestamp(made["created"], UTC).replace(tzinfo=None)
