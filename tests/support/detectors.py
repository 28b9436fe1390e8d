"""Rows of `daily_entity_metrics` for detectors, and runs over them on the BigQuery emulator."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from functions.run_detectors.main import handle
from shared.adapters.bigquery import BigQueryWarehouse
from shared.analytics.records import DailyEntityMetrics, MonthlyEntityMetrics
from shared.analytics.rollup import roll_up
from shared.detectors.compiler import Plan
from shared.detectors.records import DetectorRun, Finding
from shared.detectors.service import Detectors
from shared.ops.records import StageCount
from shared.schema.bigquery import plain_table
from shared.settings import Settings
from tests.fakes import FakeDocuments, FakePublisher, fake_clients, posted, pushed

AS_OF = date(2026, 10, 18)
Row = dict[str, Any]


def connect(settings: Settings) -> BigQueryWarehouse:
    """The emulator's warehouse."""
    return BigQueryWarehouse.connect(
        settings.project, settings.bigquery_endpoint, settings.bigquery_location, settings.bigquery_grpc_endpoint
    )


def series(
    entity_type: str, entity_id: str, days: int, metrics: Callable[[int], Row | None], as_of: date = AS_OF
) -> list[Row]:
    """One row a day for the `days` days up to `as_of`; `metrics` is asked with the days before `as_of`."""
    rows = []
    for ago in range(days):
        values = metrics(ago)
        if values is not None:
            day = as_of - timedelta(days=ago)
            rows.append({"date": day.isoformat(), "entity_type": entity_type, "entity_id": entity_id, **values})
    return rows


class Bench:
    """One tenant with its tables, loaded rows and runs."""

    def __init__(self, warehouse: BigQueryWarehouse, tenant_id: str, **settings: Any) -> None:
        self.warehouse, self.tenant_id = warehouse, tenant_id
        self.dataset = f"aso_tenant_{tenant_id}"
        self.documents, self.ops, self.publisher = FakeDocuments(), FakeDocuments(), FakePublisher()
        warehouse.ensure_dataset(self.dataset)
        for record in (DailyEntityMetrics, MonthlyEntityMetrics, Finding, StageCount):
            warehouse.ensure_table(self.dataset, plain_table(record))
        self.clients = fake_clients(
            tenant_id, documents=self.documents, ops=self.ops, publisher=self.publisher, warehouse=warehouse
        )
        now = datetime.now(UTC)
        self.documents.documents[f"tenants/{tenant_id}"] = {
            "tenant_id": tenant_id, "created_at": now, "updated_at": now, **settings,
        }  # fmt: skip

    def load(self, rows: Iterable[Row]) -> int:
        """Append rows as an outside tool would: required columns and a few metrics."""
        return self.warehouse.load(
            f"{self.dataset}.daily_entity_metrics", ({"tenant_id": self.tenant_id, **r} for r in rows)
        )

    def roll_up(self, as_of: date = AS_OF) -> None:
        """Bring the monthly rollup up to what was loaded."""
        roll_up(self.warehouse, self.tenant_id, as_of - timedelta(days=760), as_of)

    def judge_by(self, plan: Plan) -> None:
        """Run these detectors instead of the whole catalogue."""
        clients = self.clients
        clients.detectors = Detectors(
            self.warehouse, self.ops, clients.progress, self.publisher, clients.tenants, compiled=lambda: plan
        )

    def run(self, as_of: date = AS_OF) -> tuple[DetectorRun, list[Row]]:
        """POST, then deliver the message that it publishes; the run's account and its findings."""
        asked = handle(posted({"tenant_id": self.tenant_id, "as_of": as_of.isoformat()}), self.clients)
        assert asked.status_code == 202, asked.get_data()
        delivered = handle(pushed(self.publisher.messages[-1].model_dump(mode="json")), self.clients)
        assert delivered.status_code == 204, delivered.get_data()
        return self.account(asked.get_json()["run_id"])

    def account(self, run_id: str) -> tuple[DetectorRun, list[Row]]:
        """A run's account and findings as they are stored."""
        run = DetectorRun.model_validate(self.ops.documents[f"detector_runs/{run_id}"])
        sql = f"SELECT * FROM `{self.dataset}.detector_findings` WHERE run_id = @run_id ORDER BY detector_id, entity_id"
        return run, self.warehouse.query(sql, run_id=run_id)
