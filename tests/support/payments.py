"""What the metrics of payments should be, computed once more in plain Python from the raw documents of Stripe.

Nothing here is shared with the pipeline: not its SQL, and not its way. States of subscriptions are asked day by day.
"""

from bisect import bisect_right
from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from statistics import mean, median, stdev
from typing import Any

Fields = Mapping[str, Any]
Metrics = dict[tuple[date, str], dict[str, Any]]
NONE = Decimal(0)


def exact(value: Any) -> Decimal:
    return NONE if value is None else Decimal(str(value))


def utc(value: datetime | None) -> date | None:
    return value.astimezone(UTC).date() if value else None


def span(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def months_after(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def month_end(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


class Books:
    """The raw documents of one tenant by table."""

    def __init__(self, raw: Mapping[str, Iterable[Fields]], currency: str) -> None:
        self.currency = currency
        self.charges = sorted(raw["stripe_charges"], key=lambda one: (one["created_at"], one["charge_id"]))
        self.refunds = [one for one in raw["stripe_refunds"] if one["status"] in (None, "succeeded", "pending")]
        self.disputes = list(raw["stripe_disputes"])
        self.customers = {one["customer_id"]: one for one in raw["stripe_customers"]}
        self.prices = {one["price_id"]: one for one in raw["stripe_prices"]}
        self.invoices = sorted(raw["stripe_invoices"], key=lambda one: (one["created_at"], one["invoice_id"]))
        never = ("incomplete", "incomplete_expired")
        self.subscriptions = [one for one in raw["stripe_subscriptions"] if one["status"] not in never]
        self.changes = defaultdict[str, list[Fields]](list)
        for change in raw["stripe_subscription_changes"]:
            self.changes[change["subscription_id"]].append(change)
        self.asked_by = {intent: one for one in self.invoices for intent in one["payment_intent_ids"]}
        self.begun_with = self._first_paid()
        self.paid = [one for one in self.charges if one["status"] == "succeeded" and one["captured"]]
        self.orders = self._orders()
        self.by_buyer = defaultdict[str, list[Fields]](list)
        for order in self.orders:
            if self.buyer(order):
                self.by_buyer[self.buyer(order)].append(order)
        self.spent = self._spendings()
        self.spent_by = defaultdict[Any, list[tuple[date, Decimal]]](list)
        for buyer, _, day, amount in self.spent:
            self.spent_by[buyer].append((day, amount))
        self.worths: dict[tuple[Any, int], Decimal] = {}

    # --- who, what, how much -----------------------------------------------------------------------------------------

    def money(self, one: Fields, amount: str) -> Decimal:
        return exact(one[amount]) if one["currency"] == self.currency else NONE

    def buyer(self, charge: Fields) -> Any:
        if charge["customer_id"] is None:
            return charge["email"]
        return (self.customers.get(charge["customer_id"]) or {}).get("email") or charge["customer_id"]

    def is_order(self, charge: Fields) -> bool:
        invoice = self.asked_by.get(charge["payment_intent_id"])
        if invoice is None or invoice["subscription_id"] is None:
            return True
        return self.begun_with.get(invoice["subscription_id"]) == invoice["invoice_id"]

    def _orders(self) -> list[Fields]:
        """Payments that are orders; of several for one invoice the first."""
        first: dict[str, Fields] = {}
        for one in filter(self.is_order, self.paid):
            asked = self.asked_by.get(one["payment_intent_id"])
            first.setdefault(asked["invoice_id"] if asked else one["charge_id"], one)
        return list(first.values())

    def _first_paid(self) -> dict[str, str]:
        known = {one["subscription_id"] for one in self.invoices if one["billing_reason"] == "subscription_create"}
        first: dict[str, str] = {}
        for one in self.invoices:
            if one["subscription_id"] in known and one["amount_paid"] > 0:
                first.setdefault(one["subscription_id"], one["invoice_id"])
        return first

    def _spendings(self) -> list[tuple[Any, Any, date, Decimal]]:
        """Buyer, customer, day and amount of what was paid and given back."""
        charges = {one["charge_id"]: one for one in self.paid}
        found = [(one, one, "amount_captured", 1) for one in self.paid]
        found += [(one, charges[one["charge_id"]], "amount", -1) for one in self.refunds if one["charge_id"] in charges]
        return [
            (self.buyer(of), of["customer_id"], day_of(one), sign * self.money(one, amount))
            for one, of, amount, sign in found
        ]

    def discount(self, charge: Fields) -> Decimal:
        if charge["currency"] != self.currency:
            return NONE
        invoice = self.asked_by.get(charge["payment_intent_id"])
        told = charge["discount_amount"]
        return exact(told if told is not None else invoice and invoice["discount_amount"])

    # --- payments ----------------------------------------------------------------------------------------------------

    def property(self, days: Iterable[date]) -> dict[date, dict[str, Any]]:
        first = min(day_of(one) for one in self.charges)
        lost = [one for one in self.disputes if one["status"][:8] != "warning_" and one["status"] != "prevented"]
        of_day = [by_day(listed) for listed in (self.paid, self.refunds, lost, self.orders)]
        worths = sorted(
            (day_of(orders[0]), self.spent_within(buyer, 90))
            for buyer, orders in self.by_buyer.items()
            if self.money(orders[0], "amount_captured") > 0
        )
        found = {}
        for day in days:
            if day < first:
                continue
            paid, refunds, disputes, orders = (listed[day] for listed in of_day)
            known = [one for one in orders if self.buyer(one)]
            new = [one for one in known if self.by_buyer[self.buyer(one)][0] is one]
            cheaper = [one for one in orders if self.discount(one) > 0]
            found[day] = {
                "charges": len(paid),
                "charge_amount": sum((self.money(one, "amount_captured") for one in paid), NONE),
                "refunds": len(refunds),
                "refund_amount": sum((self.money(one, "amount") for one in refunds), NONE),
                "disputes": len(disputes),
                "disputed_amount": sum((self.money(one, "amount") for one in disputes), NONE),
                "new_customers": len(new),
                "repeat_orders": len(known) - len(new),
                "discounted_orders": len(cheaper),
                "discount_amount": sum((self.discount(one) for one in cheaper), NONE),
                "discounted_revenue": sum((self.money(one, "amount_captured") for one in cheaper), NONE),
                "ltv_90d": worth(worths, day - timedelta(days=455), day - timedelta(days=90)),
            }
        return found

    def spent_within(self, buyer: Any, days: int) -> Decimal:
        if (buyer, days) not in self.worths:
            since = day_of(self.by_buyer[buyer][0])
            within = [amount for day, amount in self.spent_by[buyer] if 0 <= (day - since).days <= days]
            self.worths[buyer, days] = sum(within, NONE)
        return self.worths[buyer, days]

    def payment_method(self) -> Metrics:
        found: Metrics = defaultdict(Counter)  # type: ignore[arg-type]
        for one in self.charges:
            invoice = self.asked_by.get(one["payment_intent_id"])
            if invoice and invoice["subscription_id"] and invoice["billing_reason"] != "subscription_create":
                continue
            is_paid = one["status"] == "succeeded" and one["captured"]
            is_declined = one["status"] == "failed" and one["outcome_type"] != "blocked"
            if is_paid or is_declined:
                found[day_of(one), one["payment_method_type"] or "unknown"] += Counter()
                row = found[day_of(one), one["payment_method_type"] or "unknown"]
                row["payment_attempts"] += 1
                row["failed_payments"] += is_declined
                row["charges"] += is_paid
                row["charge_amount"] += self.money(one, "amount_captured") if is_paid else NONE
        return found

    def sold(self, charge: Fields) -> list[tuple[str, Decimal]]:
        """Products and their shares of what was paid, the dearest first."""
        invoice = self.asked_by.get(charge["payment_intent_id"])
        if charge["lines"]:
            told = [
                (
                    one["product_id"] or one["product_name"],
                    exact(one["unit_amount"]) * (one["quantity"] or 1) - exact(one["discount_amount"]),
                )
                for one in charge["lines"]
            ]
        elif invoice:
            told = [
                (one["product_id"], exact(one["amount"]) - exact(one["discount_amount"])) for one in invoice["lines"]
            ]
        else:
            told = [(charge["product_id"], Decimal(1))]
        weights = defaultdict[str, Decimal](Decimal)
        for product, price in told:
            if product:
                weights[product] += max(price, NONE)
        if weights and not any(weights.values()):
            weights = defaultdict(Decimal, dict.fromkeys(weights, Decimal(1)))
        whole, paid = sum(weights.values(), NONE), self.money(charge, "amount_captured")
        ranked = sorted(weights.items(), key=lambda item: (-item[1], item[0]))
        return [(product, paid * weight / whole) for product, weight in ranked if weight]

    def product(self) -> Metrics:
        found: Metrics = {}
        for charge in self.paid:
            for product, amount in self.sold(charge):
                row = found.setdefault((day_of(charge), product), {"revenue": NONE, "orders": 0})
                row["revenue"] += amount
                row["orders"] += 1
        return found

    def first_product(self, days: Iterable[date]) -> Metrics:
        matured = defaultdict[tuple[date, str], list[bool]](list)
        for orders in self.by_buyer.values():
            sold = self.sold(orders[0])
            if sold:
                day = day_of(orders[0]) + timedelta(days=90)
                matured[day, sold[0][0]].append(len(orders) > 1 and day_of(orders[1]) <= day)
        found = {}
        for day in days:
            for product in {name for on, name in matured if day - timedelta(days=365) <= on <= day}:
                back = matured.get((day, product), [])
                found[day, product] = {"matured_customers": len(back), "repeaters": sum(back)}
        return found

    def order_cohort(self, days: Iterable[date]) -> Metrics:
        cohorts = defaultdict[date, list[date | None]](list)
        for orders in self.by_buyer.values():
            first = day_of(orders[0])
            second = day_of(orders[1]) if len(orders) > 1 else None
            cohorts[month_end(first)].append(second if second and (second - first).days <= 60 else None)
        return {
            (day, f"{end:%Y-%m}"): {
                "cohort_age": (day - end).days,
                "cohort_customers": len(seconds),
                "repeat_customers": sum(1 for second in seconds if second and second <= day),
            }
            for day in days
            for end, seconds in cohorts.items()
            if 0 <= (day - end).days <= 365
        }

    def customer_segment(self, days: Iterable[date]) -> Metrics:
        matured = defaultdict[tuple[str, str], dict[date, list[Decimal]]](lambda: defaultdict(list))
        for buyer, orders in self.by_buyer.items():
            first, noted = orders[0], orders[0]["metadata"]
            if self.money(first, "amount_captured") <= 0:
                continue
            source = noted.get("utm_source")
            named = {
                "country": first["country"] or (self.customers.get(first["customer_id"]) or {}).get("country"),
                "source": f"{source} / {noted.get('utm_medium') or '(none)'}" if source else None,
                "device": noted.get("device"),
            }
            for dimension, name in named.items():
                if name:
                    on = day_of(first) + timedelta(days=180)
                    matured[dimension, f"{dimension}: {name}"][on].append(self.spent_within(buyer, 180))
        return {
            (day, name): {
                "segment_dimension": dimension,
                "matured_customers": len(ends.get(day, [])),
                "matured_revenue": sum(ends.get(day, []), NONE),
            }
            for day in days
            for (dimension, name), ends in matured.items()
            if any(0 <= (day - on).days <= 180 for on in ends)
        }

    # --- subscriptions -----------------------------------------------------------------------------------------------

    def told(self, one: Fields) -> list[tuple[datetime, int, str, str, Decimal, bool]]:
        """When, turn, id, plan, MRR in its own currency, for want of payment: all that is known, in order."""
        begins = max(one["started_at"], one["trial_end_at"] or one["started_at"])
        changes = sorted(
            self.changes[one["subscription_id"]], key=lambda each: (each["changed_at"], TURNS[each["event_type"]])
        )
        since = changes[0]["changed_at"] if changes else None
        known = [
            (each["changed_at"], TURNS[each["event_type"]], each["change_id"], each["price_id"], exact(each["mrr"]),
             each["status"] == "unpaid")
            for each in changes
        ]  # fmt: skip
        known += self._billed(one["subscription_id"], since)
        if not changes:
            earns = one["status"] in ("active", "past_due", "canceled")
            at = max(begins, one["current_period_start_at"] or begins)
            price = exact(one["monthly_price"]) if earns else NONE
            known.append((at, 2, "", one["price_id"], price, one["status"] == "unpaid"))
        known.sort(key=lambda each: each[:3])
        if known[0][0] > begins:
            known.insert(0, (begins, 0, "", known[0][3], self._before(known[0], changes, one), False))
        billed = [each for each in known if each[1] == 1]
        if billed and changes:
            first, last = next(each for each in known if each[1] > 2), billed[-1]
            before = self._before(first, changes, one)
            plan = first[3] if before == first[4] else last[3]
            if (plan, before) != (last[3], last[4]):
                known.insert(known.index(last) + 1, (last[0], 2, "", plan, before, False))
        if one["ended_at"]:
            known = [each for each in known if each[0] <= one["ended_at"]]
            known.append(
                (one["ended_at"], 9, "", one["price_id"], NONE, one["cancellation_reason"] == "payment_failed")
            )
        return known

    def _billed(self, name: str, until: datetime | None) -> list[tuple[datetime, int, str, str, Decimal, bool]]:
        """What stood whenever a line's period began: of each item the line that was made out last."""
        lines = [
            (line["period_start_at"], invoice["created_at"], invoice["invoice_id"], line)
            for invoice in self.invoices
            for line in invoice["lines"]
            if invoice["status"] != "deleted" and line["recurring"] and line["subscription_id"] == name
            and (until is None or line["period_start_at"] < until)
        ]  # fmt: skip
        found = []
        for moment in sorted({line[0] for line in lines}):
            standing = [each for each in lines if each[0] <= moment and max(each[3]["period_end_at"], each[0]) > moment]
            last = {each[3]["item_id"]: each[:3] for each in sorted(standing, key=lambda each: each[:3])}
            paid = [
                (-self.monthly(each[3]), each[3]["price_id"])
                for each in standing
                if last[each[3]["item_id"]] == each[:3]
            ]
            found.append((moment, 1, "", min(paid)[1], -sum((amount for amount, _ in paid), NONE), False))
        return found

    def monthly(self, line: Fields) -> Decimal:
        price = self.prices[line["price_id"]]
        if price["monthly_price"] is None:
            return NONE
        a_month = {"day": Decimal(365) / 12, "week": Decimal(365) / 84, "month": Decimal(1), "year": 1 / Decimal(12)}
        amount = exact(line["amount"]) * a_month[price["billing_interval"]] / price["interval_count"]
        return amount.quantize(Decimal("1E-6"))

    def _before(self, known: Any, changes: list[Fields], one: Fields) -> Decimal:
        if known[1] == 1:
            return known[4]  # type: ignore[no-any-return]
        if known[1] == 2:
            return NONE if one["status"] == "trialing" else exact(one["monthly_price"])
        kind = changes[0]["event_type"].rpartition(".")[2]
        if kind == "deleted" and one["trial_end_at"] and one["trial_end_at"] >= changes[0]["changed_at"]:
            return NONE
        if kind == "updated":
            return exact(changes[0]["previous_mrr"])
        return exact(changes[0]["monthly_price"]) if kind == "deleted" else NONE

    def states(self, one: Fields) -> list[tuple[date, str, Decimal, bool]]:
        """Plan and MRR at the end of each day on which something was told."""
        last: dict[date, tuple[date, str, Decimal, bool]] = {}
        for at, _, _, plan, mrr, unpaid in self.told(one):
            last[utc(at)] = (utc(at), plan, mrr, unpaid)  # type: ignore[index,assignment]
        return [last[day] for day in sorted(last)]

    def at(self, states: list[tuple[date, str, Decimal, bool]], day: date) -> tuple[str, Decimal, bool]:
        place = bisect_right([each[0] for each in states], day)
        return states[place - 1][1:] if place else ("", NONE, False)

    def plan(self, days: Iterable[date]) -> Metrics:
        days = list(days)
        rows: Metrics = defaultdict(lambda: defaultdict(Decimal))  # type: ignore[arg-type]
        begins: dict[str, date] = {}
        begun = min((each[0] for one in self.subscriptions for each in self.states(one)), default=days[0])
        for one in self.subscriptions:
            own, states = one["currency"] == self.currency, self.states(one)
            marks = {each[0] for each in states}
            for day in span(begun, days[-1]):
                plan, mrr, unpaid = self.at(states, day)
                row = rows[day, plan]
                if mrr > 0:
                    row["active_subscriptions"] += 1
                    row["mrr"] += mrr if own else NONE
                if day not in marks:
                    continue
                plan_before, before, _ = self.at(states, day - timedelta(days=1))
                if mrr == before and (plan == plan_before or mrr == 0):
                    continue
                left = rows[day, plan_before if before else plan]
                for name in {plan_before if before else plan, plan}:
                    begins[name] = min(begins.get(name, day), day)
                change = mrr - before if own else NONE
                if before == 0:
                    left["new_subscriptions"] += 1
                    left["new_mrr"] += change
                elif mrr == 0:
                    left["churned_subscriptions"] += 1
                    left["churned_mrr"] -= change
                    left["canceled_after_failure"] += int(unpaid)
                else:
                    left["expansion_mrr"] += max(change, NONE)
                    left["contraction_mrr"] -= min(change, NONE)
                    left["downgrades"] += int(mrr < before)
                    if plan != plan_before and own:
                        left["moved_mrr"] -= mrr
                        rows[day, plan]["moved_mrr"] += mrr
        for day, plan, name, amount in (*self._trials(), *self._failures()):
            begins[plan] = min(begins.get(plan, day), day)
            rows[day, plan][name] += amount
        return {
            (day, plan): {name: rows[day, plan][name] for name in PLAN}
            for plan, first in begins.items()
            for day in days
            if day >= first
        }

    def _trials(self) -> list[tuple[date, str, str, Decimal]]:
        found = []
        for one in self.subscriptions:
            if one["trial_end_at"]:
                day = utc(min(one["trial_end_at"], one["ended_at"] or one["trial_end_at"]))
                told = [each for each in self.told(one) if each[1] not in (0, 9)]
                day_told = max(day, utc(told[0][0]))  # type: ignore[type-var]
                plan = [each[3] for each in told if utc(each[0]) <= day_told][-1]  # type: ignore[operator]
                found.append((day, plan, "trials_ended", Decimal(1)))
                paid = any(
                    each["subscription_id"] == one["subscription_id"] and each["amount_paid"] > 0
                    and each["paid_at"] and each["paid_at"] >= one["trial_end_at"]
                    for each in self.invoices
                )  # fmt: skip
                found.append((day, plan, "trials_converted", Decimal(int(paid))))
        return found  # type: ignore[return-value]

    def failed(self) -> list[Fields]:
        known = {one["subscription_id"] for one in self.subscriptions}
        return [
            one
            for one in self.invoices
            if one["failed_at"] and one["subscription_id"] in known and one["billing_reason"] != "subscription_create"
        ]

    def _failures(self) -> list[tuple[date, str, str, Decimal]]:
        found = []
        for one in self.failed():
            recurring = [each for each in one["lines"] if each["recurring"]]
            plan = min((-each["amount"], each["price_id"]) for each in recurring)[1]
            found.append((utc(one["failed_at"]), plan, "failed_invoices", Decimal(1)))
            found.append((utc(one["failed_at"]), plan, "failed_amount", self.money(one, "amount_due")))
            if one["status"] == "paid":
                found.append((utc(one["paid_at"]), plan, "recovered_invoices", Decimal(1)))
        return found  # type: ignore[return-value]

    def subscription(self, days: Iterable[date]) -> Metrics:
        found = {}
        for one in self.subscriptions:
            states = self.states(one)
            stops = one["cancel_at_period_end"] or one["status"] not in ("active", "past_due", "trialing")
            stops = stops or bool(one["cancel_at"] and one["cancel_at"] <= one["current_period_end_at"])
            renews = None if stops else utc(one["current_period_end_at"])
            own = one["currency"] == self.currency
            year, month = one["card_exp_year"], one["card_exp_month"]
            expires = month_end(date(year, month, 1)) if year else None
            for day in days:
                if utc(one["started_at"]) <= day and not (one["ended_at"] and utc(one["ended_at"]) <= day):  # type: ignore[operator]
                    runs = renews and utc(one["current_period_start_at"]) <= day  # type: ignore[operator]
                    found[day, one["subscription_id"]] = {
                        "mrr": self.at(states, day)[1] if own else NONE,
                        "renews_in_days": (renews - day).days if renews and runs else None,
                        "renewal_amount": exact(one["renewal_amount"]) if own and renews else None,
                        "card_expires_in_days": (expires - day).days if expires else None,
                        "backup_methods": one["backup_methods"],
                    }
        return found

    def subscription_cohort(self, days: Iterable[date]) -> Metrics:
        cohorts = defaultdict[date, list[bool]](list)
        for one in self.subscriptions:
            states = self.states(one)
            first = next((day for day, _, mrr, _ in states if mrr > 0), None)
            if first:
                cohorts[month_end(first)].append(self.at(states, months_after(first, 3))[1] > 0)
        return {
            (day, f"{end:%Y-%m}"): {
                "cohort_age": (day - end).days,
                "cohort_size": len(kept),
                "retained_m3": sum(kept) if months_after(end, 3) <= day else None,
            }
            for day in days
            for end, kept in cohorts.items()
            if 0 <= (day - end).days <= 365
        }

    def customer(self, days: Iterable[date]) -> Metrics:
        own = defaultdict[str, list[tuple[Fields, Any]]](list)
        for one in self.subscriptions:
            own[one["customer_id"]].append((one, self.states(one)))
        ordered, spent = defaultdict[Any, list[date]](list), defaultdict[Any, list[tuple[date, Decimal]]](list)
        for order in self.orders:
            ordered[order["customer_id"]].append(day_of(order))
        for _, customer, day, amount in self.spent:
            spent[customer].append((day, amount))
        failed = Counter((one["customer_id"], utc(one["failed_at"])) for one in self.failed())
        found = {}
        for name, customer in self.customers.items():
            for day in days:
                if customer["deleted_at"] and utc(customer["deleted_at"]) <= day:  # type: ignore[operator]
                    continue
                orders = [each for each in ordered[name] if each <= day]
                paying = [
                    (mrr, plan, one, next(each[0] for each in states if each[2] > 0))
                    for one, states in own[name]
                    for plan, mrr, _ in [self.at(states, day)]
                    if mrr > 0
                ]
                if not orders and not paying:
                    continue
                visits = sorted(set(orders))
                gaps = [(late - early).days for early, late in zip(visits, visits[1:], strict=False)]
                dearest = min(paying, key=lambda each: (-each[0], each[2]["subscription_id"]), default=None)
                found[day, name] = {
                    "mrr": sum((mrr for mrr, _, one, _ in paying if one["currency"] == self.currency), NONE),
                    "lifetime_orders": len(orders),
                    "days_since_last": (day - visits[-1]).days if visits else None,
                    "median_gap": median(gaps) if gaps else None,
                    "gap_cv": stdev(gaps) / mean(gaps) if len(gaps) > 1 else None,
                    "ltv": sum((amount for on, amount in spent[name] if on <= day), NONE),
                    "failed_invoices": failed[name, day],
                    "plan_interval": self.prices[dearest[1]]["billing_interval"] if dearest else None,
                    "tenure_days": (day - min(each[3] for each in paying)).days if paying else None,
                }
        return found


TURNS = defaultdict(lambda: 4, {"customer.subscription.created": 3, "customer.subscription.deleted": 5})
PLAN = (
    "mrr",
    "new_mrr",
    "expansion_mrr",
    "contraction_mrr",
    "churned_mrr",
    "moved_mrr",
    "active_subscriptions",
    "new_subscriptions",
    "churned_subscriptions",
    "downgrades",
    "canceled_after_failure",
    "trials_ended",
    "trials_converted",
    "failed_invoices",
    "failed_amount",
    "recovered_invoices",
)


def day_of(one: Fields) -> date:
    return date.fromisoformat(one["date"])


def by_day(listed: Iterable[Fields]) -> defaultdict[date, list[Fields]]:
    found = defaultdict[date, list[Fields]](list)
    for one in listed:
        found[day_of(one)].append(one)
    return found


def worth(worths: list[tuple[date, Decimal]], first: date, last: date) -> Decimal | None:
    """What buyers of these days spent on average."""
    own = [amount for day, amount in worths if first <= day <= last]
    return sum(own, NONE) / len(own) if own else None
