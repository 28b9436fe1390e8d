"""The ETL of Stripe on the emulated BigQuery, against plain Python over the same raw documents.

Two tenants: the sample's shop, for what happens often, and one for what happens seldom. Objects of the API become
documents as the connector makes them.
"""

import json
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from infra.local.sample import Sample
from infra.local.sample.stripe import PLANTED, objects
from infra.local.sample.stripe_objects import Account, line, unix
from shared.adapters.bigquery import BigQueryWarehouse
from shared.analytics.entities import Group
from shared.analytics.entities.payments import PAYMENTS
from shared.analytics.entities.site import SITE
from shared.analytics.etl import Etl
from shared.analytics.rebuild import Rebuild, entity_sql
from shared.analytics.records import DailyEntityMetrics, EntityMap, MonthlyEntityMetrics
from shared.detectors.catalogue import catalogue
from shared.detectors.compiler import compiled
from shared.detectors.records import Finding
from shared.detectors.service import Detectors
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook
from shared.ops.records import StageCount
from shared.schema.bigquery import plain_table
from shared.schema.registry import streamed_records
from shared.sources.reports import REPORTS, api_name
from shared.sources.source import Pull
from shared.sources.stripe.feeds import FEEDS, ChangeFeed
from shared.sources.stripe.subscriptions import change
from shared.streaming.tables import provision as provision_streamed
from shared.tenants.records import SourceSettings, Tenant
from tests.fakes import FakeDocuments, FakePublisher
from tests.support.bigquery import bigquery_emulator
from tests.support.payments import Books, span

TODAY = date(2026, 11, 21)
NOW = datetime(2026, 11, 21)
YESTERDAY = TODAY - timedelta(days=1)
PROPERTY = "properties/213025502"
GROUPS = (Group("site", SITE), Group("payments", PAYMENTS, aliases=True))
FLOWS = ("property", "payment_method", "product")
STOCKS = {
    "first_product": 400,
    "order_cohort": 400,
    "plan": 400,
    "subscription_cohort": 400,
    "customer": 92,
    "customer_segment": 92,
    "subscription": 35,
}
READ = {*(table for group in GROUPS for table in group.tables), "ac_contacts"}


def ago(days, hour=12):
    return NOW - timedelta(days=days) + timedelta(hours=hour)


# --- what happens seldom ---------------------------------------------------------------------------------------------


class Rare:
    """An account in which everything happens once."""

    def __init__(self):
        self.account = Account(NOW)
        self.prices = {
            name: self.account.price(name, name, amount, interval, ago(700))
            for name, amount, interval in (
                ("month", 1000, "month"),
                ("dear", 2500, "month"),
                ("year", 10000, "year"),
                ("week", 700, "week"),
                ("euro", 900, "month"),
            )
        }
        self.prices["euro"]["currency"] = "eur"
        quarter = self.account.price("quarter", "quarter", 3000, "month", ago(700))
        quarter["recurring"]["interval_count"] = 3
        metered = self.account.price("metered", "metered", 5, "month", ago(700))
        metered["recurring"]["usage_type"] = "metered"
        pack = self.account.price("pack", "pack", 1000, "month", ago(700))
        pack["transform_quantity"] = {"divide_by": 10, "round": "up"}
        self.prices |= {"quarter": quarter, "metered": metered, "pack": pack}
        self._payments()
        self._subscriptions()

    def subscribe(self, price, began, quantity=1, **fields):
        payer = self.account.customer(ago(began), f"{price}-{began}@example.com", "US")
        priced = self.prices[price]
        made = self.account.made(
            "subscriptions", "sub", "subscription", ago(began), customer=payer["id"], currency=priced["currency"]
        )
        item = {"id": f"si_{made['id']}", "price": priced, "quantity": None if price == "metered" else quantity}
        item |= {"current_period_start": unix(ago(20)), "current_period_end": unix(ago(-10))}
        made |= {"status": "active", "start_date": unix(ago(began)), "items": {"has_more": False, "data": [item]}}
        made |= {"trial_start": None, "trial_end": None, "cancel_at": None, "cancel_at_period_end": False}
        made |= {"canceled_at": None, "ended_at": None, "cancellation_details": {"reason": None}, "metadata": {}}
        made |= {"default_payment_method": payer["invoice_settings"]["default_payment_method"], **fields}
        return made

    def bill(
        self,
        subscription,
        on,
        reason="subscription_cycle",
        price=None,
        amount=None,
        quantity=1,
        paid=True,
        lines=None,
        discount=0,
    ):
        """lines: price, days ago of its first and last day, number of the item; else one of a month of its first."""
        items = subscription["items"]["data"]
        made = []
        for name, first, last, number in lines or ((price or items[0]["price"]["id"], on, on - 30, 0),):
            priced = self.prices[name]
            charged = priced["unit_amount"] * quantity if amount is None else amount
            one = line(priced, subscription, ago(first), ago(last), charged, proration=False) | {"quantity": quantity}
            one["id"] += f"_{on}"
            one["parent"]["subscription_item_details"]["subscription_item"] = items[number]["id"]
            made.append(one)
        amount = sum(one["amount"] for one in made)
        intent = f"pi_{subscription['id']}_{on}_{reason}"
        invoice = self.account.invoice(ago(on), subscription, reason, made, intent)
        invoice["currency"] = subscription["currency"]
        invoice["total_discount_amounts"] = [{"amount": discount}] if discount else []
        if paid:
            invoice.update(status="paid", amount_paid=amount, amount_remaining=0, attempt_count=1)
            invoice["status_transitions"]["paid_at"] = unix(ago(on, 13))
            if amount:
                payer = next(one for one in self.account.lists["customers"] if one["id"] == subscription["customer"])
                self.charge(on, amount, intent, payer, currency=subscription["currency"])
        return invoice

    def charge(self, on, amount, intent, payer=None, email=None, paid=True, **more):
        email = email or (payer and payer["email"])
        made = self.account.charge(ago(on), amount, intent, payer, email, "US", paid=paid)
        made.update(more)
        return made

    def _payments(self):
        charge, account = self.charge, self.account
        buyer = account.customer(ago(300), "buyer-1@example.com", "DE")
        again = account.customer(ago(100), "buyer-1@example.com", "DE")
        self.late = charge(
            60, 5000, "pi_late", buyer, metadata={"sku": "cap", "utm_source": "google", "device": "mobile"}
        )
        account.refund(ago(3), self.late, 2000)
        for status in ("failed", "canceled", "pending", None):
            account.refund(ago(4), charge(50, 1000, f"pi_{status}", email=f"{status}@example.com"), 400)
            account.lists["refunds"][-1]["status"] = status
        for status in ("needs_response", "warning_needs_response", "prevented", "lost"):
            account.dispute(ago(5), charge(40, 3000, f"pi_{status}", email=f"{status}@example.com"))
            account.lists["disputes"][-1]["status"] = status
        charge(200, 4000, "pi_first", buyer, metadata={"product": "mug", "utm_source": "google", "utm_medium": "cpc"})
        charge(190, 4400, "pi_same_buyer", again)
        charge(180, 4500, "pi_guest", email="buyer-1@example.com")
        charge(45, 990, "pi_euro", buyer, currency="eur", metadata={"product": "mug"})
        charge(44, 1234, "pi_yen", buyer, currency="jpy", metadata={"product": "mug"})
        charge(43, 700, "pi_nobody")
        charge(42, 700, "pi_authorized", buyer, captured=False, amount_captured=0)
        charge(41, 700, "pi_pending", buyer, status="pending", paid=False)
        charge(41, 700, "pi_declined", buyer, paid=False)
        charge(41, 700, "pi_blocked", buyer, paid=False, outcome={"type": "blocked"})
        charge(41, 700, "pi_wallet", buyer, payment_method_details={"type": "paypal", "paypal": {}})
        told = [
            {"product_code": "cap", "quantity": 2, "unit_cost": 1000, "discount_amount": 100},
            {"product_name": "Mug", "quantity": 1, "unit_cost": 600},
            {"product_code": "gift", "quantity": 1, "unit_cost": 0},
        ]
        charge(39, 2700, "pi_lines", buyer)
        account.intent(ago(39), "pi_lines", 2700, 0)
        account.lists["payment_intents"][-1]["amount_details"] = {"line_items": {"has_more": False, "data": told}}
        charge(38, 900, "pi_coupon", buyer, metadata={"sku": "cap"})
        account.intent(ago(38), "pi_coupon", 900, 100)
        gone = account.customer(ago(80), "gone@example.com", "FR")
        charge(79, 800, "pi_gone", gone)
        gone["deleted_at"] = ago(30)

    def _subscriptions(self):
        account, bill, subscribe = self.account, self.bill, self.subscribe
        # Billed all along, a year's and a quarter's brought to a month.
        for price, began in (
            ("month", 100),
            ("year", 95),
            ("quarter", 91),
            ("week", 60),
            ("euro", 70),
            ("metered", 65),
        ):
            one = subscribe(price, began)
            bill(one, began, "subscription_create", amount=0 if price == "metered" else None)
        # A coupon once: what it pays a month is before discounts.
        account.lists["invoices"][0]["total_discount_amounts"] = [{"amount": 200}]
        account.lists["invoices"][0]["lines"]["data"][0]["discount_amounts"] = [{"amount": 200}]
        # An upgrade that only its invoices tell, and one and a downgrade that events tell.
        old = subscribe("dear", 120)
        bill(old, 120, "subscription_create", price="month")
        bill(old, 90, price="month")
        bill(old, 60, price="dear")
        for before, after, began in (("month", "dear", 110), ("dear", "month", 111)):
            one = subscribe(before, began)
            bill(one, began, "subscription_create")
            item = one["items"]["data"][0]
            previous = {"items": {"data": [dict(item)]}}
            item["price"] = self.prices[after]
            account.event(ago(12), "updated", one, previous)
        # More seats, and then fewer, on one day and the next.
        seats = subscribe("month", 85, quantity=3)
        bill(seats, 85, "subscription_create", quantity=3)
        for days, quantity in ((9, 5), (8, 2)):
            item = seats["items"]["data"][0]
            previous = {"items": {"data": [dict(item)]}}
            item["quantity"] = quantity
            account.event(ago(days), "updated", seats, previous)
        # Asked to end, and ended with the period; of another the end is yet to come.
        for began, asked, ended in ((130, 20, 10), (131, 4, -10)):
            one = subscribe("month", began)
            bill(one, began, "subscription_create")
            one |= {"cancel_at_period_end": True, "canceled_at": unix(ago(asked)), "cancel_at": unix(ago(ended))}
            account.event(ago(asked), "updated", one, {"cancel_at_period_end": False})
            if ended > 0:
                one |= {"status": "canceled", "ended_at": unix(ago(ended))}
                one["cancellation_details"] = {"reason": "cancellation_requested"}
                account.event(ago(ended), "deleted", one)
        self._trials()
        self._failures()
        self._before_events()
        # Begun and ended within a day; never begun; of two items.
        subscribe("month", 33, status="canceled", ended_at=unix(ago(33, 15)))
        subscribe("month", 34, status="incomplete_expired", ended_at=unix(ago(33, 15)))
        both = subscribe("month", 75)
        both["items"]["data"].append({**both["items"]["data"][0], "id": "si_b", "price": self.prices["dear"]})

    def _before_events(self):
        """What only invoices tell, until an event that is not of the price says what it was."""
        packs = self.subscribe("pack", 84, quantity=25)
        self.bill(packs, 84, "subscription_create", amount=3000, quantity=25)
        # Raised in its year, which no invoice tells yet.
        raised = self.subscribe("year", 250, quantity=5)
        self.bill(raised, 250, "subscription_create")
        # A month's and a year's items, and another month's alone; of equals the first by name is the plan.
        mixed = self.subscribe("dear", 94)
        self.prices["year two"] = self.account.price("year two", "year two", 30000, "year", ago(700))
        self.add(mixed, "year two")
        self.bill(mixed, 94, "subscription_create", lines=(("dear", 94, 64, 0), ("year two", 94, -271, 1)))
        self.bill(mixed, 64)
        # From months to years within a month: what is left of it is given back.
        yearly = self.subscribe("year", 93)
        self.bill(yearly, 93, "subscription_create", price="month")
        self.bill(yearly, 83, "subscription_update", lines=(("year", 83, -282, 0),))
        # A bill for the same period once more.
        self.bill(yearly, 83, "manual", lines=(("year", 83, -282, 0),))
        for one in (packs, raised, mixed):
            self.account.event(ago(6), "updated", one, {"default_payment_method": None})
        # Paid for in two payments.
        parts = self.bill(self.subscribe("dear", 88), 88, "subscription_create", discount=300, amount=1000)
        second = deepcopy(parts["payments"]["data"][0])
        second["payment"]["payment_intent"] = "pi_rest"
        parts["payments"]["data"].append(second)
        parts["lines"]["data"][0]["amount"] = 2500
        payer = next(one for one in self.account.lists["customers"] if one["id"] == parts["customer"])
        self.charge(87, 1200, "pi_rest", payer)

    def add(self, subscription, price):
        items = subscription["items"]["data"]
        items.append({**items[0], "id": f"{items[0]['id']}_{len(items)}", "price": self.prices[price]})

    def _trials(self):
        for began, ended, paid in ((64, None, True), (63, 49, False), (62, None, None)):
            trial = {"trial_start": unix(ago(began)), "trial_end": unix(ago(began - 14))}
            one = self.subscribe("month", began, **trial)
            self.bill(one, began, "subscription_create", amount=0)
            if paid:
                self.bill(one, began - 14)
            if paid is None:
                # It goes on for some weeks without ever being paid.
                self.bill(one, began - 14, paid=False)
                one |= {"status": "canceled", "ended_at": unix(ago(20))}
                one["cancellation_details"] = {"reason": "payment_failed"}
            if ended:
                one |= {"status": "canceled", "ended_at": unix(ago(ended))}
        running = self.subscribe("month", 5, trial_start=unix(ago(5)), trial_end=unix(ago(-9)), status="trialing")
        self.bill(running, 5, "subscription_create", amount=0)
        self.account.event(ago(5), "created", running)

    def _failures(self):
        one = self.subscribe("month", 105)
        self.bill(one, 105, "subscription_create")
        recovered = self.bill(one, 45, paid=False)
        recovered.update(status="paid", amount_paid=1000, amount_remaining=0, attempt_count=2)
        recovered["status_transitions"]["paid_at"] = unix(ago(42))
        self.charge(45, 1000, "pi_retried", paid=False)
        # Given up: unpaid, and paid for again later.
        two = self.subscribe("dear", 106, status="unpaid")
        self.bill(two, 106, "subscription_create")
        self.bill(two, 36, paid=False)
        for days, status, before in ((25, "past_due", "active"), (15, "unpaid", "past_due"), (7, "active", "unpaid")):
            two["status"] = status
            self.account.event(ago(days), "updated", two, {"status": before})


# --- from the API's objects to rows ----------------------------------------------------------------------------------


def raw(lists):
    """Documents by table, as the connector makes them of the API's objects."""
    held = {name: {one["id"]: one for one in listed} for name, listed in lists.items()}

    def expanded(one):
        methods, customer = held["payment_methods"], held["customers"].get(one.get("customer"))
        intent = held["payment_intents"].get(one.get("payment_intent"), one.get("payment_intent"))
        method = methods.get(one.get("default_payment_method"))
        more = {"payment_intent": intent} if one["object"] == "charge" else {}
        more |= {"customer": customer, "default_payment_method": method} if one["object"] == "subscription" else {}
        return one | more

    def ask(path, **parameters):
        customer = path.split("/")[3]
        return iter([one for one in lists["payment_methods"] if one["customer"] == customer])

    found = {}
    for feed in FEEDS:
        if isinstance(feed, ChangeFeed):
            found[feed.collection.name] = {one["id"]: change(one) for one in lists["events"]}
        else:
            listed = lists[feed.path.rpartition("/")[2]]
            found[feed.collection.name] = {one["id"]: feed.document(expanded(one), ask) for one in listed}
    for one in lists["customers"]:
        if "deleted_at" in one:
            gone = {"deleted_at": one["deleted_at"].replace(tzinfo=UTC), "email": None, "country": None}
            found["stripe_customers"][one["id"]] |= gone
    return found


class Lab:
    """A tenant with these documents in its logs."""

    def __init__(self, warehouse, tenant_id):
        self.warehouse, self.tenant_id, self.dataset = warehouse, tenant_id, f"aso_tenant_{tenant_id}"
        self.ops, self.now = FakeDocuments(), datetime(2026, 11, 21, 4, tzinfo=UTC)
        sources = {"ga4": SourceSettings(property_id=PROPERTY)}
        self.tenant = Tenant(tenant_id=tenant_id, sources=sources, created_at=self.now, updated_at=self.now)
        self.raw = {}
        warehouse.ensure_dataset(self.dataset)
        for record in streamed_records():
            if record.table and record.table.table in READ:
                provision_streamed(warehouse, record, {"tenant_id": tenant_id})
        for record in (DailyEntityMetrics, MonthlyEntityMetrics, EntityMap, Finding, StageCount):
            warehouse.ensure_table(self.dataset, plain_table(record))

    def arrive(self, raw):
        """Put documents into the logs, as the stream does: what is hashed is, and the rest as it is."""
        for table, documents in raw.items():
            self.raw.setdefault(table, {}).update(documents)
            rows = [self._log_row(table, name, fields) for name, fields in documents.items()]
            if rows:
                self.warehouse.load(f"{self.dataset}.{table}_raw_changelog", rows)

    def _log_row(self, table, name, fields):
        hidden = {"email": f"hash of {fields['email']}"} if fields.get("email") else {}
        return {
            "timestamp": self.now,
            "event_id": f"{table}-{name}-{self.now.timestamp()}",
            "document_name": f"projects/p/databases/(default)/documents/{table}/{name}",
            "operation": "CREATE",
            "version": self.now,
            "deleted": False,
            "appended_at": self.now,
            "tenant_id": self.tenant_id,
            "source": "ga4" if table.startswith("ga_") else "stripe",
            **fields,
            **hidden,
        }

    def run(self, run_id, full=False):
        ops, publisher = self.ops, FakePublisher()
        made = Etl(
            self.warehouse,
            ops,
            ProgressBook(ops),
            Leases(ops),
            publisher,
            lambda name: self.tenant,
            groups=GROUPS,
            now=lambda: self.now,
        )
        return made.run(self.tenant_id, run_id, full=full)

    def rows(self, sql):
        return self.warehouse.query(sql.format(dataset=self.dataset))

    def metrics(self):
        """Day and id -> columns and attributes, by entity type."""
        numbers = sorted({name for group in GROUPS for one in group.entities for name in one.columns} - {"attributes"})
        sql = f"""
            SELECT
              metrics.entity_type,
              CAST(metrics.date AS STRING) AS day,
              metrics.entity_id,
              TO_JSON_STRING(metrics.attributes) AS attributes,
              {", ".join(f"metrics.{name}" for name in numbers)}
            FROM `{self.dataset}.daily_entity_metrics` AS metrics
        """  # noqa: S608  (names of the test's own)
        read, found = self.warehouse.columns(sql, f"{self.dataset}.scan_test"), {}
        for kind, day, name, attributes, *told in zip(*read.values(), strict=True):
            row = {column: None if value != value else value for column, value in zip(numbers, told, strict=True)}
            row |= json.loads(attributes or "null") or {}
            found.setdefault(kind, {})[date.fromisoformat(day), name] = row
        return found

    def books(self, currency="USD"):
        return Books({table: list(held.values()) for table, held in self.raw.items()}, currency)


def google_analytics():
    """The sample's own figures of the property."""
    sample, found = Sample.load(TODAY), {}
    for report in REPORTS:
        if report.collection.name in READ:
            found[report.collection.name] = dict(
                report.document(
                    {field: str(row[api_name(field)]) for field in report.dimensions},
                    {field: str(row[api_name(field)]) for field in report.metrics},
                    Pull("t", "sync-1", TODAY, SourceSettings(property_id=PROPERTY)),
                )
                for row in sample.report(report.collection.name)
            )
    return found


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as server:
        yield BigQueryWarehouse.connect(server.project, server.bigquery_endpoint, "US", server.bigquery_grpc_endpoint)


@pytest.fixture(scope="module")
def shop(warehouse):
    """The sample after one run, only to be read."""
    made = Lab(warehouse, "shop")
    made.arrive(raw(objects(TODAY)) | google_analytics())
    made.result = made.run("etl-1")
    made.found = made.metrics()
    return made


CONTACTS = {
    name: {"contact_id": name, "email": email, "date": "2026-01-01", "created_at": NOW, "is_deleted": False}
    for name, email in (("contact-1", "buyer-1@example.com"), ("contact-2", "stranger@example.com"))
}


@pytest.fixture(scope="module")
def rare(warehouse):
    """What happens seldom, only to be read. Some of it was not told in time and came after the first run."""
    made, account = Lab(warehouse, "rare"), Rare()
    made.account, lists = account, account.account.lists
    told = raw(lists) | {"ac_contacts": CONTACTS}
    late = {
        "stripe_subscription_changes": {one["id"] for one in lists["events"] if one["created"] < unix(ago(9, 13))},
        "stripe_refunds": {lists["refunds"][0]["id"]},
        "stripe_charges": {one["id"] for one in lists["charges"] if one["created"] == unix(ago(39))},
        "stripe_invoices": {lists["invoices"][-1]["id"]},
    }
    made.arrive({table: without(kept, late.get(table, ())) for table, kept in told.items()})
    made.run("etl-1")
    made.early = made.metrics()
    made.now += timedelta(hours=2)
    made.arrive({table: without(told[table], told[table].keys() - names) for table, names in late.items()})
    made.result = made.run("etl-2")
    made.found = made.metrics()
    return made


def without(kept, names):
    return {name: one for name, one in kept.items() if name not in names}


# --- the tests -------------------------------------------------------------------------------------------------------


def expected(lab, entity_type):
    """What the metrics should be, of the days that should have been made."""
    books = lab.books()
    if entity_type in STOCKS:
        read = {table for one in PAYMENTS if one.entity_type == entity_type for table in one.tables}
        begun = min(date.fromisoformat(one["date"]) for name in read for one in lab.raw.get(name, {}).values())
        first = max(begun, TODAY - timedelta(days=STOCKS[entity_type]))
        return getattr(books, entity_type)(span(first, YESTERDAY))
    if entity_type == "property":
        left_out = before_analytics(lab)
        days = [day for day in span(TODAY - timedelta(days=800), YESTERDAY) if day not in left_out]
        return {(day, PROPERTY): row for day, row in books.property(days).items()}
    return getattr(books, entity_type)()


def before_analytics(lab):
    """Days shortly before Google Analytics begins: a window of days that has them would know no sums of traffic."""
    told = [date.fromisoformat(one["date"]) for one in lab.raw.get("ga_property_totals", {}).values()]
    if not told:
        return set()
    week_before = min(told) - timedelta(days=7)
    return set(span(week_before.replace(day=1), min(told) - timedelta(days=1)))


def same(value, wanted):
    """Equal to the cent, or alike where it is no amount."""
    if isinstance(wanted, Decimal | float):
        return value == pytest.approx(float(wanted), abs=0.005 if isinstance(wanted, Decimal) else 1e-6)
    return value == wanted


def differences(lab, entity_type):
    """What was found and what it should be, by day, entity and metric, where they are not the same."""
    wanted, found = expected(lab, entity_type), lab.found[entity_type]
    assert any(value for row in wanted.values() for value in row.values())
    if entity_type == "property":
        # Days of Google Analytics have a row without any payment; a day without a row of either has none.
        found = {key: row for key, row in found.items() if row["charges"] is not None}
        wanted = {key: row for key, row in wanted.items() if key in found or any(row[name] for name in PAID)}
    assert set(found) == set(wanted)
    return {
        (key, name): (found[key].get(name), value)
        for key, row in wanted.items()
        for name, value in row.items()
        if not same(found[key].get(name), value)
    }


PAID = ("charges", "refunds", "disputes")


@pytest.mark.parametrize("entity_type", [*FLOWS, *STOCKS])
@pytest.mark.parametrize("tenant", ["shop", "rare"])
def test_every_metric_of_every_day_is_that_of_the_raw_documents(request, tenant, entity_type):
    assert differences(request.getfixturevalue(tenant), entity_type) == {}


@pytest.mark.parametrize("tenant", ["shop", "rare"])
def test_mrr_is_that_of_the_day_before_and_what_moved(request, tenant):
    plans = request.getfixturevalue(tenant).found["plan"]
    days = sorted({day for day, _ in plans})
    moved = ("new_mrr", "expansion_mrr", "moved_mrr"), ("contraction_mrr", "churned_mrr")
    of_all = {}
    for plan in {name for _, name in plans}:
        for before, day in pairwise(days):
            row, last = plans.get((day, plan)), plans.get((before, plan))
            if row is None:
                continue
            came, went = (sum(row[name] for name in names) for names in moved)
            assert row["mrr"] == pytest.approx((last["mrr"] if last else 0) + came - went, abs=0.005), (day, plan)
            counted = row["new_subscriptions"] - row["churned_subscriptions"]
            sums = of_all.setdefault(day, [0, 0, 0, 0])
            for place, amount in enumerate((row["moved_mrr"], row["active_subscriptions"], counted, row["mrr"])):
                sums[place] += amount
    for before, day in pairwise(sorted(of_all)):
        assert of_all[day][0] == pytest.approx(0, abs=0.005), "what moves between plans is nothing on all of them"
        assert of_all[day][1] == of_all[before][1] + of_all[day][2]
    assert any(row["moved_mrr"] for row in plans.values())


def plan_on(lab, days_ago, plan):
    return lab.found["plan"][TODAY - timedelta(days=days_ago), plan]


def property_on(lab, days_ago):
    return lab.found["property"][TODAY - timedelta(days=days_ago), PROPERTY]


def test_a_refund_counts_on_its_own_day_in_part_and_only_if_money_goes_back(rare):
    assert (property_on(rare, 60)["refunds"], property_on(rare, 60)["charge_amount"]) == (0, 50.0 + 25.0 + 7.0)
    assert (property_on(rare, 3)["refunds"], property_on(rare, 3)["refund_amount"]) == (1, 20.0)
    assert (property_on(rare, 4)["refunds"], property_on(rare, 4)["refund_amount"]) == (2, 8.0)


def test_an_inquiry_and_what_was_prevented_are_no_disputes(rare):
    assert (property_on(rare, 5)["disputes"], property_on(rare, 5)["disputed_amount"]) == (2, 60.0)


def test_another_currency_counts_but_not_as_money(rare):
    for days_ago in (45, 44):
        assert (property_on(rare, days_ago)["charges"], property_on(rare, days_ago)["charge_amount"]) == (1, 0.0)
    assert (plan_on(rare, 1, "euro")["active_subscriptions"], plan_on(rare, 1, "euro")["mrr"]) == (1, 0.0)
    [site] = SITE
    work = Rebuild(rare.warehouse, rare.tenant.model_copy(update={"currency": "JPY"}), "etl-yen", rare.now)
    day = TODAY - timedelta(days=44)
    [row] = rare.warehouse.query(entity_sql(GROUPS[0], site, rare.dataset), **work._parameters([day]))
    assert row["charge_amount"] == 1234.0, "yen have no smaller unit"


def test_who_bought_before_under_any_customer_or_as_a_guest_is_not_new(rare):
    firsts = {days_ago: property_on(rare, days_ago) for days_ago in (200, 190, 180, 43)}
    assert [row["new_customers"] for row in firsts.values()] == [1, 0, 0, 0]
    assert [row["repeat_orders"] for row in firsts.values()] == [0, 1, 1, 0], "of nobody known neither can be said"


def test_a_renewal_is_no_order_and_the_first_payment_of_a_subscription_is_one(rare):
    [payer] = {one["customer"] for one in rare.account.account.lists["invoices"] if one["id"] == "in_00007"}
    orders = {row["lifetime_orders"] for (_, name), row in rare.found["customer"].items() if name == payer}
    billed = [one for one in rare.raw["stripe_invoices"].values() if one["customer_id"] == payer]
    assert len(billed) == 3
    assert orders == {1}


BEGUN = {"year": 95, "quarter": 91, "week": 60}


def test_a_year_a_quarter_and_a_week_are_brought_to_a_month(rare):
    begun = {plan: plan_on(rare, days_ago, plan)["new_mrr"] for plan, days_ago in BEGUN.items()}
    assert begun == {"year": pytest.approx(8.333333), "quarter": 10.0, "week": pytest.approx(7 * 365 / 84)}


def test_an_upgrade_is_expansion_of_the_plan_that_was_left_and_a_downgrade_contraction(rare):
    cheap, dear = plan_on(rare, 12, "month"), plan_on(rare, 12, "dear")
    assert (cheap["expansion_mrr"], cheap["contraction_mrr"], cheap["downgrades"]) == (15.0, 0.0, 0)
    assert (dear["expansion_mrr"], dear["contraction_mrr"], dear["downgrades"]) == (0.0, 15.0, 1)
    # One went each way, with what it pays since.
    assert (cheap["moved_mrr"], dear["moved_mrr"]) == (10.0 - 25.0, 25.0 - 10.0)
    assert (cheap["new_subscriptions"], dear["churned_subscriptions"]) == (0, 0)


def test_an_upgrade_before_all_events_is_seen_by_the_next_invoice(rare):
    assert plan_on(rare, 60, "month")["expansion_mrr"] == 15.0
    assert plan_on(rare, 60, "dear")["moved_mrr"] == 25.0


def test_packages_and_seats_are_what_their_invoices_say_before_any_event(rare):
    days = [plan_on(rare, days_ago, "pack") for days_ago in range(84, 0, -1)]
    assert {row["mrr"] for row in days} == {30.0}
    assert days[0]["new_mrr"] == sum(row["new_mrr"] for row in days) == 30.0
    assert {row[name] for row in days for name in ("expansion_mrr", "contraction_mrr", "moved_mrr")} == {0.0}


def test_an_event_of_something_else_moves_nothing_and_tells_what_was_before(rare):
    begun, told = plan_on(rare, 250, "year"), plan_on(rare, 6, "year")
    assert begun["new_mrr"] == pytest.approx(5 * 100 / 12)
    assert (told["expansion_mrr"], told["contraction_mrr"], told["moved_mrr"]) == (0.0, 0.0, 0.0)
    assert plan_on(rare, 100, "year")["mrr"] == pytest.approx(5 * 100 / 12)


def test_an_item_of_a_year_stands_while_a_month_is_billed_and_of_equal_plans_one_is_the_plan(rare):
    assert plan_on(rare, 94, "dear")["new_mrr"] == 50.0
    assert (plan_on(rare, 64, "dear")["contraction_mrr"], plan_on(rare, 64, "dear")["moved_mrr"]) == (0.0, 0.0)
    assert "year two" not in {name for _, name in rare.found["plan"]}


def test_from_a_month_to_a_year_in_its_midst_only_the_year_is_paid(rare):
    assert plan_on(rare, 83, "month")["contraction_mrr"] == pytest.approx(10 - 100 / 12)
    assert plan_on(rare, 83, "year")["moved_mrr"] == pytest.approx(100 / 12)


def test_an_invoice_that_is_paid_in_two_parts_is_one_order_with_its_discount(rare):
    first, second = property_on(rare, 88), property_on(rare, 87)
    assert (first["new_customers"], first["discounted_orders"], first["discount_amount"]) == (1, 1, 3.0)
    assert [second[name] for name in ("charges", "new_customers", "repeat_orders", "discounted_orders")] == [1, 0, 0, 0]


def test_more_seats_are_expansion_and_fewer_contraction(rare):
    assert plan_on(rare, 9, "month")["expansion_mrr"] == 20.0
    assert (plan_on(rare, 8, "month")["contraction_mrr"], plan_on(rare, 8, "month")["downgrades"]) == (30.0, 1)


def test_a_cancellation_counts_when_the_period_is_over(rare):
    assert plan_on(rare, 20, "month")["churned_subscriptions"] == 1, "the one that was never paid"
    assert plan_on(rare, 4, "month")["churned_subscriptions"] == 0
    ended = plan_on(rare, 10, "month")
    assert (ended["churned_subscriptions"], ended["churned_mrr"], ended["canceled_after_failure"]) == (1, 10.0, 0)


def test_a_trial_is_converted_where_it_was_paid_for(rare):
    ended = {days_ago: plan_on(rare, days_ago, "month") for days_ago in (50, 49, 48)}
    assert [row["trials_ended"] for row in ended.values()] == [1, 1, 1]
    assert [row["trials_converted"] for row in ended.values()] == [1, 0, 0]
    assert [row["new_subscriptions"] for row in ended.values()] == [1, 0, 1]
    assert plan_on(rare, 20, "month")["canceled_after_failure"] == 1
    assert plan_on(rare, 5, "month")["trials_ended"] == 0


def test_an_invoice_that_failed_and_was_paid_after_all_is_recovered_on_that_day(rare):
    failed = plan_on(rare, 45, "month")
    assert (failed["failed_invoices"], failed["failed_amount"], failed["recovered_invoices"]) == (1, 10.0, 0)
    assert plan_on(rare, 42, "month")["recovered_invoices"] == 1
    assert plan_on(rare, 36, "dear")["recovered_invoices"] == 0


def test_what_is_unpaid_has_left_for_want_of_payment_and_is_new_when_it_pays_again(rare):
    assert plan_on(rare, 25, "dear")["churned_subscriptions"] == 0
    left, back = plan_on(rare, 15, "dear"), plan_on(rare, 7, "dear")
    assert (left["churned_subscriptions"], left["canceled_after_failure"]) == (1, 1)
    assert (back["new_subscriptions"], back["new_mrr"]) == (1, 25.0)


def test_what_is_metered_never_began_or_ended_on_its_first_day_is_no_recurring_revenue(rare):
    assert "metered" not in {name for _, name in rare.found["plan"]}
    assert [plan_on(rare, days_ago, "month")["new_subscriptions"] for days_ago in (34, 33)] == [0, 0]


def test_a_site_without_google_analytics_has_its_payments(rare):
    row = property_on(rare, 60)
    assert row["charges"] == 3
    assert row["sessions"] is row["revenue"] is row["orders"] is None


def test_orders_of_the_site_are_those_whose_revenue_google_analytics_counts(shop):
    rows = list(shop.raw["ga_funnel_events"].values())
    for day in span(TODAY - timedelta(days=20), YESTERDAY):
        told = [one for one in rows if one["date"] == day.isoformat()]
        counted = sum(int(one["event_count"]) for one in told if one["event_name"] == "purchase")
        assert shop.found["property"][day, PROPERTY]["orders"] == counted


def test_customers_are_mapped_to_the_contacts_of_their_address(rare):
    rows = rare.rows("SELECT * FROM `{dataset}.entity_aliases`")
    aliases = {(row["source"], row["alias"]): (row["entity_id"], row["how"]) for row in rows}
    contacts = {alias: found for (source, alias), found in aliases.items() if source == "activecampaign"}
    # Of two customers of one address the newer one.
    assert contacts == {"contact-1": ("cus_00002", "email")}
    customers = {alias: found for (source, alias), found in aliases.items() if source == "stripe"}
    known = {name for name, (entity_id, how) in customers.items() if how == "email" and entity_id == name}
    assert known == {"cus_00001", "cus_00002"}
    assert {name for name, found in customers.items() if found == (name, "own")} == customers.keys() - known
    assert customers.keys() >= {"cus_00004", "cus_00005"}


def test_a_rerun_changes_nothing(shop):
    again = shop.run("etl-again", full=True)
    assert (again.changed, again.months_changed) == (0, 0)
    assert shop.result.leaks == again.leaks == ()


def test_what_came_late_is_booked_on_its_own_day_and_stands_since(rare):
    """That all is as if it had come in time is what every other test of this tenant shows."""
    day = TODAY - timedelta(days=12)
    assert rare.early["plan"][day, "dear"]["contraction_mrr"] == 0
    assert rare.found["plan"][day, "dear"]["contraction_mrr"] == 15.0
    # Without its event a change is one of the period that runs.
    began = TODAY - timedelta(days=20)
    assert [made["plan"][began, "dear"]["contraction_mrr"] for made in (rare.early, rare.found)] == [15.0, 0.0]
    assert (TODAY - timedelta(days=3), PROPERTY) not in rare.early["property"]
    assert (TODAY - timedelta(days=39), "Mug") not in rare.early["product"]


DOMAINS = ("revenue", "subscription", "customer")


def test_what_is_planted_into_the_sample_is_found_and_little_else(shop):
    judged = compiled(tuple(one for one in catalogue() if one.domain in DOMAINS))
    as_of = YESTERDAY - timedelta(days=2)
    publisher, ops = FakePublisher(), shop.ops
    tenants = Known(shop.tenant)
    Detectors(shop.warehouse, ops, ProgressBook(ops), publisher, tenants, compiled=lambda: judged).run(
        "shop", "run-1", as_of
    )
    found = shop.rows("SELECT detector_id, entity_id FROM `{dataset}.detector_findings`")
    pairs = {(row["detector_id"], row["entity_id"]) for row in found}
    assert [one for one in PLANTED if one.detector in MINE and not one.is_among(pairs)] == []
    # An order's value really falls in the sample's last week, and who stays could pay by the year.
    assert {name for name, _ in pairs} <= {*MINE, "revenue_aov_drop", "sub_annual_switch"}, pairs
    assert len(pairs) <= len(PLANTED) + 10


MINE = {one.detector for one in PLANTED} - {"cust_ltv_cac_low"}


class Known:
    """The one tenant that there is."""

    def __init__(self, tenant):
        self.tenant = tenant

    def get(self, tenant_id):
        return self.tenant
