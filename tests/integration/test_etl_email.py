"""Mails, lists, segments and automations: each figure as the emulated BigQuery makes it, and as plain Python does."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.adapters.bigquery import BigQueryWarehouse
from shared.analytics.entities import Group
from shared.analytics.entities.email import EMAIL
from shared.analytics.etl import Etl
from shared.analytics.records import ArrivalDay, DailyEntityMetrics, EntityAlias, EntityMap, MonthlyEntityMetrics
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook
from shared.ops.records import StageCount
from shared.schema.bigquery import plain_table
from shared.schema.sql import _environment
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
from shared.streaming.tables import provision as provision_streamed
from shared.tenants.records import Tenant
from shared.tenants.service import Tenants
from tests.fakes import FakeDocuments, FakePublisher
from tests.support.bigquery import bigquery_emulator
from tests.support.mail import TODAY, account, at, campaign, contacts, visits
from tests.support.mail_figures import DAY, EXPECTED, YESTERDAY, Expected

NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)
ALL = [Group("email", EMAIL, aliases=True)]
RAW = (
    AcAutomation, AcAutomationBlock, AcAutomationMail, AcCampaign, AcContact, AcContactAutomation, AcList, AcMessage,
    AcOpens, GaTrafficSource, StripeCharge, StripeCustomer,
)  # fmt: skip
PLAIN = (ArrivalDay, DailyEntityMetrics, EntityAlias, EntityMap, MonthlyEntityMetrics, StageCount)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as server:
        yield BigQueryWarehouse.connect(server.project, server.bigquery_endpoint, "US")


class Lab:
    """A tenant with the account's documents in its logs."""

    def __init__(self, warehouse: BigQueryWarehouse, tenant_id: str) -> None:
        self.warehouse, self.tenant_id, self.now = warehouse, tenant_id, NOW
        self.documents = FakeDocuments()
        # Not the whole tenant: each table costs the emulator a while.
        warehouse.ensure_dataset(f"aso_tenant_{tenant_id}")
        for record in RAW:
            provision_streamed(warehouse, record, {"tenant_id": tenant_id})
        for record in PLAIN:
            warehouse.ensure_table(f"aso_tenant_{tenant_id}", plain_table(record))
        tenant = Tenant(tenant_id=tenant_id, created_at=NOW, updated_at=NOW)
        self.documents.put(f"tenants/{tenant_id}", tenant.document())

    def arrive(self, rows: list[SourceRow]) -> None:
        """Put documents into the logs, as the stream does; a document that is there already changes."""
        by_table = defaultdict(list)
        for row in rows:
            assert row.table is not None
            by_table[row.table.table].append(
                {
                    "timestamp": self.now,
                    "event_id": f"{identity(row)}-{self.now}",
                    "document_name": f"projects/p/databases/(default)/documents/{identity(row)}",
                    "operation": "CREATE",
                    "version": self.now,
                    "deleted": False,
                    "appended_at": self.now,
                    **row.document(),
                }
            )
        for name, logged in by_table.items():
            self.warehouse.load(f"aso_tenant_{self.tenant_id}.{name}_raw_changelog", logged)

    def run(self, groups=ALL, **options: Any):
        ops = self.documents
        etl = Etl(
            self.warehouse, ops, ProgressBook(ops), Leases(ops), FakePublisher(), Tenants(ops).get, groups=groups,
            now=lambda: self.now,
        )  # fmt: skip
        return etl.run(self.tenant_id, "etl", **options)

    def made(self, entity_type: str) -> Expected:
        """Its rows: the columns that it has, and its attributes beside them."""
        [entity] = [one for one in EMAIL if one.entity_type == entity_type]
        sql = f"SELECT * FROM `aso_tenant_{self.tenant_id}.daily_entity_metrics` WHERE entity_type = @entity_type"
        columns = [name for name in entity.columns if name != "attributes"]
        rows = self.warehouse.query(sql, entity_type=entity_type)
        assert all(set(row["attributes"]) == set(entity.keys) for row in rows)
        return {
            (row["date"], row["entity_id"]): {name: row[name] for name in columns} | row["attributes"] for row in rows
        }


def identity(row: SourceRow) -> str:
    """The document that a row is of: whatever of it does not change, put together."""
    assert row.table is not None
    told = row.document()
    names = (
        "session_source",
        "session_medium",
        "session_campaign_name",
        *(name for name in told if name.endswith("_id")),
    )
    lasts = isinstance(row, AcContact | AcCampaign | AcContactAutomation)
    parts = [str(told.get(name)) for name in names] + ([] if lasts else [told["date"]])
    return f"{row.table.table}/{'-'.join(parts)}"


@pytest.fixture(scope="module")
def loaded(warehouse):
    """The account after one run over all of it, only to be read."""
    lab = Lab(warehouse, "mail1")
    lab.arrive(account())
    lab.result = lab.run()
    return lab


@pytest.fixture(scope="module")
def late(warehouse):
    """A tenant of which each test tells something later than the rest."""
    return Lab(warehouse, "mail2")


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda expected: expected.__name__)
def test_each_figure_is_that_of_the_raw_documents(loaded, expected):
    made, wanted = loaded.made(expected.__name__), expected()
    assert set(made) == set(wanted)
    for key, row in wanted.items():
        assert made[key] == pytest.approx(row, abs=0.005), key
    # Figures that are all the same, or none, would prove nothing.
    for name in wanted[key]:
        assert len({str(row[name]) for row in wanted.values()}) > 1, name


def test_nothing_is_lost_between_the_documents_and_the_figures(loaded):
    assert loaded.result.leaks == ()


def test_a_rerun_changes_nothing(loaded):
    again = loaded.run(full=True)
    assert (again.changed, again.months_changed) == (0, 0)


def test_campaigns_are_those_of_google_analytics_by_their_name_there(loaded):
    rows = loaded.warehouse.query("SELECT * FROM `aso_tenant_mail1.entity_aliases`")
    found = {row["alias"]: (row["entity_id"], row["how"]) for row in rows}
    assert len(found) == len(rows) == 20
    assert {key: found[key] for key in ("3", "5", "10", "11", "12", "202")} == {
        "3": ("News-1116", "utm"),
        "5": ("promo", "utm"),
        "10": ("autumn letter", "name"),
        "11": ("Unheard of", "own"),
        "12": ("nobody", "own"),
        "202": ("Mail 202", "own"),
    }
    [counted] = loaded.warehouse.query("SELECT * FROM `aso_tenant_mail1.stage_counts` WHERE stage = 'map' LIMIT 1")
    assert (counted["rows_in"], counted["rows_refused"]) == (20, 3)


def of(entity_type: str) -> list[Group]:
    return [Group("email", tuple(one for one in EMAIL if one.entity_type == entity_type), aliases=True)]


def test_counts_that_rise_later_are_those_of_the_day_of_the_send(late):
    send = campaign(1, TODAY - 5 * DAY, "Newsletter 1", "1", "news")
    late.arrive([send])
    late.run(of("email_campaign"))
    late.now += DAY
    late.arrive([send.model_copy(update={"uniqueopens": 350, "subscriberclicks": 47})])
    assert late.run(of("email_campaign")).changed == 1
    [((day, _), row)] = late.made("email_campaign").items()
    assert (day, row["opens"], row["clicks_email"]) == (TODAY - 5 * DAY, 350, 47)


def test_visits_are_their_sends_as_late_as_they_are_told(late):
    send = campaign(2, TODAY - 4 * DAY, "Promo 1", "1", "promo")
    by_day = {
        row.date: row for row in visits() if row.session_campaign_name == "promo" and row.session_medium == "email"
    }
    late.arrive([send, by_day[send.date]])
    late.run(of("email_type"))
    assert late.made("email_type")[send.date, "1/Promo"]["email_revenue"] == by_day[send.date].purchase_revenue
    late.now += DAY
    late.arrive([by_day[send.date + 2 * DAY], by_day[send.date + 3 * DAY]])
    late.run(of("email_type"))
    revenue = by_day[send.date].purchase_revenue + by_day[send.date + 2 * DAY].purchase_revenue
    assert late.made("email_type")[send.date, "1/Promo"]["email_revenue"] == pytest.approx(revenue)


def test_who_left_is_gone_from_that_day_on_though_a_sync_tells_it_later(late):
    member = AcMembership(list_id="9", status=1, subscribed_at=at(TODAY - 30 * DAY))
    contact = contacts()[1].model_copy(update={"lists": [member], "is_deleted": False})
    late.arrive([contact])
    late.run(of("email_list"))
    late.now += DAY
    left = member.model_copy(update={"status": 2, "unsubscribed_at": at(YESTERDAY - 2 * DAY)})
    # Another source's sync comes first, and the day is made without what is not told yet.
    late.run(of("email_list"))
    late.arrive([contact.model_copy(update={"lists": [left]})])
    late.run(of("email_list"))
    active = {day: row["active_contacts"] for (day, name), row in late.made("email_list").items() if name == "9"}
    assert [active[YESTERDAY - ago * DAY] for ago in (3, 2, 1, 0)] == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Newsletter | 2026-11-20", "Newsletter"),
        ("Promo-12", "Promo"),
        ("November news", "news"),
        ("Newsletter November 2026", "Newsletter"),
        ("2026-11 Newsletter", "Newsletter"),
        ("März: Aktion", "März"),
        ("Our winter sale", "single"),
        ("2026-11-20", "single"),
        ("", "single"),
    ],
)
def test_a_kind_of_mail_is_what_its_name_says_without_dates_and_numbers(late, name, kind):
    template = (
        '{% from "analytics/sql/email/parts.jinja" import kind %}SELECT {{ kind("raw") }} AS kind FROM named AS raw'
    )
    select = _environment().from_string(template).render()
    sql = f"WITH named AS (SELECT @name AS name, 'single' AS campaign_type) {select}"
    assert late.warehouse.query(sql, name=name) == [{"kind": kind}]
