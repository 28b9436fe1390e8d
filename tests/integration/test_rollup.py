"""The monthly rollup on the emulated BigQuery, beside the same computed in Python."""

import itertools
import random
from collections import defaultdict
from datetime import date, timedelta

import pytest

from shared.analytics.attributes import ATTRIBUTES
from shared.analytics.records import DailyEntityMetrics, MonthlyEntityMetrics
from shared.analytics.rollup import LATEST, MEANS, kinds, roll_up
from shared.schema.bigquery import plain_table
from tests.support.bigquery import bigquery_emulator
from tests.support.detectors import connect

FLOW, OTHER_FLOW = [one.name for one in ATTRIBUTES.values() if one.kind == "flow"][:2]
LABEL = next(one.name for one in ATTRIBUTES.values() if one.kind == "label")
FIRST, LAST = date(2026, 1, 1), date(2026, 3, 31)
numbers = itertools.count()


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as settings:
        yield connect(settings)


class Lab:
    """A tenant with its two tables."""

    def __init__(self, warehouse):
        self.warehouse, self.tenant_id = warehouse, f"rollup{next(numbers)}"
        self.dataset = f"aso_tenant_{self.tenant_id}"
        warehouse.ensure_dataset(self.dataset)
        for record in (DailyEntityMetrics, MonthlyEntityMetrics):
            warehouse.ensure_table(self.dataset, plain_table(record))

    def load(self, *rows, entity_type="page", entity_id="/a"):
        required = {"tenant_id": self.tenant_id, "entity_type": entity_type, "entity_id": entity_id}
        self.warehouse.load(f"{self.dataset}.daily_entity_metrics", [required | row for row in rows])

    def roll_up(self, first=FIRST, last=LAST):
        return roll_up(self.warehouse, self.tenant_id, first, last)

    def execute(self, sql):
        return self.warehouse.execute(sql.format(dataset=self.dataset))

    def months(self):
        rows = self.warehouse.query(f"SELECT * FROM `{self.dataset}.monthly_entity_metrics`")
        assert all(row["tenant_id"] == self.tenant_id for row in rows)
        return {(row["month"], row["entity_type"], row["entity_id"]): row for row in rows}

    def month(self, first):
        return self.months()[first, "page", "/a"]


@pytest.fixture
def lab(warehouse):
    return Lab(warehouse)


def _random_days(random_):
    """Three months of three entities with holes: days, metrics and attributes that are missing."""
    for entity in (("page", "/a"), ("page", "/b's"), ("keyword", "/a")):
        for offset in range((LAST - FIRST).days + 1):
            if random_.random() < 0.2:
                continue
            row = {
                "date": (FIRST + timedelta(days=offset)).isoformat(),
                "entity_type": entity[0],
                "entity_id": entity[1],
            }
            for name, kind in kinds().items():
                if name != "refunds" and random_.random() < 0.7:
                    whole = random_.randint(0, 99_999)
                    row[name] = whole if kind == "INT64" or name in LATEST else whole / 100
            if random_.random() < 0.8:
                row["attributes"] = {
                    FLOW: random_.randint(0, 9) / 10,
                    LABEL: random_.choice(['Größe "1"', "b"]),
                    "never registered": 1,
                } | ({OTHER_FLOW: 2} if random_.random() < 0.5 else {})
            yield row


def _expected(rows):
    """The months of these rows, by plain loops."""
    grouped = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["date"]):
        month = date.fromisoformat(row["date"]).replace(day=1)
        grouped[month, row["entity_type"], row["entity_id"]].append(row)
    made = {}
    for key, days in grouped.items():
        month = {"days": len(days)}
        for name in kinds():
            values = [row[name] for row in days if name in row]
            if not values:
                month[name] = None
            elif name in MEANS:
                month[name] = sum(values) / len(values)
            else:
                month[name] = values[-1] if name in LATEST else sum(values)
        attributes = {}
        for row in days:
            for name, value in row.get("attributes", {}).items():
                if name in (FLOW, OTHER_FLOW):
                    attributes[name] = attributes.get(name, 0) + value
                elif name == LABEL:
                    attributes[name] = value
        made[key] = month | {"attributes": attributes or None}
    return made


def test_months_equal_the_same_computed_from_the_days(lab):
    rows = list(_random_days(random.Random(7)))  # noqa: S311  figures, not secrets
    lab.load(*rows)
    expected = _expected(rows)
    assert lab.roll_up() == len(expected) == 9
    months = lab.months()
    assert set(months) == set(expected)
    for key, values in expected.items():
        for name, value in values.items():
            if name == "attributes":
                value = {one: pytest.approx(held) if one != LABEL else held for one, held in value.items()}
            elif isinstance(value, float):
                value = pytest.approx(value, abs=1e-6)
            assert months[key][name] == value, (key, name)


def test_a_rerun_changes_nothing(lab):
    lab.load(*_random_days(random.Random(8)))  # noqa: S311
    assert lab.roll_up() > 0
    before = lab.months()
    assert lab.roll_up() == 0
    assert lab.months() == before


def test_flows_are_summed_and_stocks_are_those_of_the_latest_day_that_has_one(lab):
    lab.load(
        {"date": "2026-01-10", "mrr": 100.0, "new_mrr": 5.0, "position": 2.0},
        {"date": "2026-01-20", "mrr": 0.0, "new_mrr": 6.5, "position": 4.0},
        {"date": "2026-01-30", "new_mrr": 1.0},
    )
    lab.roll_up()
    month = lab.month(FIRST)
    assert (month["mrr"], month["new_mrr"], month["position"], month["days"]) == (0.0, 12.5, 3.0, 3)


def test_not_measured_is_not_zero(lab):
    lab.load({"date": "2026-01-10", "sessions": 0}, {"date": "2026-01-11", "attributes": {FLOW: None}})
    lab.roll_up()
    month = lab.month(FIRST)
    assert (month["sessions"], month["users"], month["revenue"], month["mrr"]) == (0, None, None, None)
    assert month["attributes"] is None


def test_an_attribute_is_summed_where_it_is_a_number_and_kept_as_of_its_latest_day(lab):
    lab.load(
        {"date": "2026-01-10", "attributes": {FLOW: 2, LABEL: "old", OTHER_FLOW: "unknown"}},
        {"date": "2026-01-11", "attributes": {FLOW: 0.5, LABEL: "new"}},
        {"date": "2026-01-12", "attributes": {FLOW: 1, LABEL: None, "unregistered": 3}},
        {"date": "2026-01-13"},
    )
    lab.roll_up()
    assert lab.month(FIRST)["attributes"] == {FLOW: 3.5, LABEL: "new"}


def test_the_last_day_of_a_month_and_the_first_of_the_next_part(lab):
    lab.load({"date": "2026-01-31", "sessions": 1}, {"date": "2026-02-01", "sessions": 10})
    assert lab.roll_up() == 2
    assert (lab.month(FIRST)["sessions"], lab.month(date(2026, 2, 1))["sessions"]) == (1, 10)


def test_only_the_months_that_are_asked_for_are_rebuilt_and_those_whole(lab):
    lab.load({"date": "2026-01-31", "sessions": 1}, {"date": "2026-02-01", "sessions": 1}, {"date": "2026-02-28"})
    lab.roll_up()
    lab.execute("UPDATE `{dataset}.daily_entity_metrics` SET sessions = 5 WHERE TRUE")
    assert lab.roll_up(date(2026, 2, 10), date(2026, 2, 10)) == 1
    february = lab.month(date(2026, 2, 1))
    assert (february["sessions"], february["days"]) == (10, 2)
    assert lab.month(FIRST)["sessions"] == 1


def test_a_day_that_disappears_is_taken_out_of_its_month_and_the_last_one_takes_the_month_with_it(lab):
    lab.load({"date": "2026-01-10", "sessions": 1}, {"date": "2026-01-11", "sessions": 2})
    lab.load({"date": "2026-02-01", "sessions": 4})
    lab.roll_up()
    lab.execute("DELETE FROM `{dataset}.daily_entity_metrics` WHERE date IN ('2026-01-11', '2026-02-01')")
    assert lab.roll_up() == 2
    assert {key[0]: row["sessions"] for key, row in lab.months().items()} == {FIRST: 1}


def test_a_metric_that_is_no_longer_measured_is_no_longer_told(lab):
    lab.load({"date": "2026-01-10", "sessions": 1, "mrr": 2.0, "attributes": {FLOW: 1}})
    lab.roll_up()
    lab.execute("UPDATE `{dataset}.daily_entity_metrics` SET sessions = NULL, mrr = NULL, attributes = NULL WHERE TRUE")
    assert lab.roll_up() == 1
    month = lab.month(FIRST)
    assert (month["sessions"], month["mrr"], month["attributes"]) == (None, None, None)
