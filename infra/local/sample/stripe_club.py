"""The shop's club: subscriptions by month and by year that begin, change, fail to be paid, and end. All invented.

Every life is laid out in days before today, so that the club stands alike whatever the day.
"""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from infra.local.sample.stripe_objects import Account, Object, line, unix

PRICES = {
    "club_month": ("Club, monthly", 1200, "month"),
    "club_plus_month": ("Club plus, monthly", 2400, "month"),
    "club_year": ("Club, yearly", 12000, "year"),
    "club_plus_year": ("Club plus, yearly", 24000, "year"),
}
TRIAL = timedelta(days=14)
RETRY, GIVEN_UP = timedelta(days=3), timedelta(days=14)
COUNTRIES = ("US", "US", "US", "US", "US", "CA", "GB", "DE", "FR", "IN")
FAILURES = 0.06
EXPIRING = 12


@dataclass(frozen=True)
class Life:
    """One subscription: so many whole periods, then its end, or so many days into the one that runs.

    ends: days ago; None where it goes on. switch: after which period its price becomes `then`; an upgrade comes in the
    middle of the next one. unpaid: it ends for want of payment. abandoned: it ends with its trial.
    """

    price: str
    periods: int
    ends: int | None = None
    into: int = 0
    trial: bool = False
    switch: int | None = None
    then: str = ""
    unpaid: bool = False
    abandoned: bool = False

    @property
    def billed(self) -> int:
        """Periods that it is billed for: also the one that runs, or that is never paid."""
        return 0 if self.abandoned else self.periods + (self.ends is None or self.unpaid)


def lives() -> Iterator[Life]:
    """All of them. Of late more end (sub_churn_spike) and more step down (sub_downgrade_wave) than used to."""
    for number in range(118):
        switch, then = (number % 4 + 1, "club_plus_month") if number % 20 == 7 else (None, "")
        periods = 6 + number % 2 if number % 3 == 0 else number % 3 - 1
        yield Life("club_month", periods, into=1 + number * 7 % 28, trial=number % 4 == 1, switch=switch, then=then)
    for number in range(36):
        yield Life("club_month", 1 + number % 6, ends=1 + number * 28 // 36, unpaid=number % 9 == 4)
    for number in range(34):
        yield Life(
            "club_month", 1 + number % 5, ends=32 + number * 57 // 34, unpaid=number % 9 == 4, trial=number % 5 == 2
        )
    for number in range(20):
        yield Life("club_month", 1 + number % 4, ends=92 + number * 190 // 20, unpaid=number % 9 == 4)
    for number in range(24):
        yield Life("club_month", 0, ends=3 + number * 14, trial=True, abandoned=True)
    for number in range(4):
        yield Life("club_month", 0, into=-3 - 2 * number, trial=True)
        yield Life("club_month", 2 + number, ends=-1 - number)
    for number in range(9):
        yield Life("club_plus_month", 2 + number, into=2 + number * 3, switch=2 + number, then="club_month")
    for number in range(3):
        yield Life("club_plus_month", 5 + number, into=4 + number * 9, switch=3 + number, then="club_month")
    for number in range(34):
        yield Life("club_plus_month", number % 6, into=1 + number * 5 % 28)
    for number in range(9):
        yield Life("club_plus_month", 1 + number % 4, ends=20 + number * 35)
    for number in range(96):
        yield Life(
            "club_year", int(number % 12 == 0), into=5 + number % 12 * 29 % 360 if number % 12 else 5 + number // 12
        )
    for number in range(4):
        yield Life("club_year", 1, ends=3 + number * 8)
    for number in range(26):
        yield Life("club_plus_year", 0, into=10 + number * 13)


class Club:
    """Plays every life into an account; `members` are the customers that it made."""

    def __init__(self, account: Account, charges_since: datetime) -> None:
        self._account = account
        self._since = charges_since
        self._today = account.now.replace(hour=0, minute=0, second=0)
        self.members: list[Object] = []
        self._by_id: dict[str, Object] = {}
        begun = account.now - timedelta(days=500)
        self._prices = {name: account.price(name, *of, begun) for name, of in PRICES.items()}

    def play(self) -> None:
        """Every life; then some cards are found to expire before the next renewal (sub_card_expiring)."""
        for number, life in enumerate(lives()):
            self._live(number, life)
        renewing = [one for one in self._account.lists["subscriptions"] if one["status"] == "active"]
        for subscription in renewing[::7][:EXPIRING]:
            self._let_card_expire(subscription)

    def _live(self, number: int, life: Life) -> None:
        dice = Random(f"club-{number}")  # noqa: S311  (a sample)
        interval = 12 if PRICES[life.price][2] == "year" else 1
        start = _begin(life, interval, self._today) + timedelta(seconds=dice.randrange(80_000))
        subscription = self._subscribe(start, number, life, dice)
        for period in range(life.billed):
            since, until = _months_after(start, period * interval), _months_after(start, (period + 1) * interval)
            if since >= self._account.now:
                break
            lines = list(self._renew(subscription, life, period, since, until))
            stumbles = period > 0 and dice.random() < FAILURES
            reason = "subscription_cycle" if period or life.trial else "subscription_create"
            self._bill(subscription, since, lines, reason, life.unpaid and period == life.periods, stumbles)
        if life.ends is not None:
            end = _months_after(start, life.periods * interval) + (GIVEN_UP if life.unpaid else timedelta(0))
            self._end(subscription, end, "payment_failed" if life.unpaid else "cancellation_requested")

    def _subscribe(self, start: datetime, number: int, life: Life, dice: Random) -> Object:
        at = start - TRIAL if life.trial else start
        country, buyer = dice.choice(COUNTRIES), number + 1
        email = f"{'buyer' if buyer <= 150 else 'member'}-{buyer}@example.com"
        customer = self._account.customer(at, email, country)
        self.members.append(customer)
        self._by_id[customer["id"]] = customer
        if number % 7 == 3:
            self._account.card(at, customer, 6, self._account.now.year + 3)
        made = self._account.made("subscriptions", "sub", "subscription", at, customer=customer["id"], currency="usd")
        price = self._prices[life.price]
        item = {"id": f"si_{made['id']}", "object": "subscription_item", "price": price, "quantity": 1}
        item |= {"current_period_start": unix(at), "current_period_end": unix(start)}
        made.update(
            status="trialing" if life.trial else "active",
            start_date=unix(at),
            items={"object": "list", "has_more": False, "data": [item]},
            trial_start=unix(at) if life.trial else None,
            trial_end=unix(start) if life.trial else None,
            cancel_at=None,
            cancel_at_period_end=False,
            canceled_at=None,
            ended_at=None,
            cancellation_details={"comment": None, "feedback": None, "reason": None},
            collection_method="charge_automatically",
            default_payment_method=customer["invoice_settings"]["default_payment_method"],
            latest_invoice=None,
            discounts=[],
            metadata={},
        )
        self._account.event(at, "created", made)
        if life.trial:
            first = [line(price, made, at, start, 0, proration=False)]
            self._bill(made, at, first, "subscription_create")
        return made

    def _renew(
        self, subscription: Object, life: Life, period: int, since: datetime, until: datetime
    ) -> Iterator[Object]:
        """Begin a period: the price that is due from now on, and what a change in the middle of the last one adds."""
        item = subscription["items"]["data"][0]
        if life.switch == period:
            yield from self._switch(subscription, self._prices[life.then], since)
        item |= {"current_period_start": unix(since), "current_period_end": unix(until)}
        if period == 0 and life.trial:
            subscription["status"] = "active"
            self._account.event(since, "updated", subscription, {"status": "trialing"})
        yield line(item["price"], subscription, since, until, item["price"]["unit_amount"], proration=False)

    def _switch(self, subscription: Object, new: Object, since: datetime) -> Iterator[Object]:
        """To a dearer price ten days before a period, of which the invoice then tells; to a cheaper one with it."""
        item = subscription["items"]["data"][0]
        before, old = {"items": {"data": [dict(item)]}}, item["price"]
        upgrade = new["unit_amount"] > old["unit_amount"]
        at = since - timedelta(days=10) if upgrade else since
        item["price"] = new
        self._account.event(at, "updated", subscription, before)
        for price, sign in ((old, -1), (new, 1)) if upgrade else ():
            yield line(price, subscription, at, since, sign * price["unit_amount"] // 3, proration=True)

    def _bill(
        self,
        subscription: Object,
        at: datetime,
        lines: list[Object],
        reason: str,
        unpaid: bool = False,
        stumbles: bool = False,
    ) -> None:
        """Make an invoice and take the money: at once, three days late (stumbles), or never (unpaid)."""
        intent = f"pi_{lines[-1]['id']}"
        welcome = reason == "subscription_create" and lines[-1]["amount"] > 0 and len(self.members) % 5 == 0
        discount = lines[-1]["amount"] // 5 if welcome else 0
        invoice = self._account.invoice(at, subscription, reason, lines, intent, discount)
        subscription["latest_invoice"] = invoice["id"]
        paid_at = at + timedelta(hours=1)
        if unpaid or stumbles:
            subscription["status"] = "past_due"
            self._account.event(paid_at, "updated", subscription, {"status": "active"})
            for tried in (paid_at, paid_at + RETRY, paid_at + 3 * RETRY) if unpaid else (paid_at,):
                self._attempt(invoice, tried, paid=False)
            paid_at += RETRY
        if unpaid or paid_at >= self._account.now:
            return
        if stumbles:
            subscription["status"] = "active"
            self._account.event(paid_at, "updated", subscription, {"status": "past_due"})
        self._attempt(invoice, paid_at, paid=True)

    def _attempt(self, invoice: Object, at: datetime, paid: bool) -> None:
        if at >= self._account.now:
            return
        due = invoice["amount_due"]
        invoice["attempt_count"] += due > 0
        if paid:
            invoice.update(status="paid", amount_paid=due, amount_remaining=0)
            invoice["status_transitions"]["paid_at"] = unix(at)
        if due and at >= self._since:
            payer = self._by_id[invoice["customer"]]
            intent = invoice["payments"]["data"][0]["payment"]["payment_intent"]
            self._account.charge(at, due, intent, payer, payer["email"], payer["address"]["country"], paid)

    def _end(self, subscription: Object, at: datetime, reason: str) -> None:
        asked = at if reason == "payment_failed" else at - timedelta(days=5)
        if asked < at:
            subscription.update(cancel_at_period_end=True, cancel_at=unix(at), canceled_at=unix(asked))
            subscription["cancellation_details"]["reason"] = reason
            self._account.event(asked, "updated", subscription, {"cancel_at_period_end": False, "canceled_at": None})
        if at < self._account.now:
            subscription.update(status="canceled", canceled_at=unix(asked), ended_at=unix(at))
            subscription["cancellation_details"]["reason"] = reason
            self._account.event(at, "deleted", subscription)

    def _let_card_expire(self, subscription: Object) -> None:
        renews = datetime.fromtimestamp(subscription["items"]["data"][0]["current_period_end"], UTC)
        before = renews.replace(day=1) - timedelta(days=1)
        [card] = [
            one for one in self._account.lists["payment_methods"] if one["id"] == subscription["default_payment_method"]
        ]
        card["card"] |= {"exp_month": before.month, "exp_year": before.year}


def _begin(life: Life, interval: int, today: datetime) -> datetime:
    """When the first period began; no later than the 28th, so that every month has its day."""
    if life.ends is None:
        start = _months_after(today - timedelta(days=life.into), -life.periods * interval)
    else:
        end = today - timedelta(days=life.ends) - (GIVEN_UP if life.unpaid else timedelta(0))
        start = _months_after(end, -life.periods * interval)
    return start.replace(day=min(start.day, 28))


def _months_after(at: datetime, months: int) -> datetime:
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    return at.replace(year=year, month=month + 1, day=min(at.day, monthrange(year, month + 1)[1]))
