"""BigQuery definitions from declarations."""

from datetime import date, timedelta
from typing import Any

import pytest

from shared.adapters.bigquery import _table
from shared.analytics.records import MonthlyEntityMetrics
from shared.schema.bigquery import Column, columns, first_line, plain_table
from shared.schema.record import Json, Record
from shared.schema.registry import records
from shared.streaming.tables import EXTENSION_COLUMNS, base_table, exact_view, log_table, provision
from shared.streaming.wire import log_wire, wire_value
from tests.unit.schema.samples import Address, Invoice, Shared, Summary


def kinds(found: tuple[Column, ...]) -> dict[str, tuple[str, str]]:
    return {column.name: (column.type, column.mode) for column in found}


def test_each_python_type_has_its_column():
    assert kinds(columns(Invoice)) == {
        "invoice_id": ("STRING", "REQUIRED"),
        "tenant_id": ("STRING", "REQUIRED"),
        "issued_on": ("DATE", "REQUIRED"),
        "amount": ("FLOAT64", "REQUIRED"),
        "exact": ("NUMERIC", "NULLABLE"),
        "count": ("INT64", "REQUIRED"),
        "paid": ("BOOL", "REQUIRED"),
        "state": ("STRING", "REQUIRED"),
        "remark": ("STRING", "NULLABLE"),
        "tags": ("STRING", "REPEATED"),
        "parts": ("INT64", "REPEATED"),
        "receipt": ("BYTES", "NULLABLE"),
        "address": ("RECORD", "NULLABLE"),
        "extra": ("JSON", "REQUIRED"),
        "anything": ("JSON", "REQUIRED"),
        "by_month": ("JSON", "REQUIRED"),
        "seen_at": ("TIMESTAMP", "NULLABLE"),
        "expires_at": ("TIMESTAMP", "NULLABLE"),
        "schema_version": ("INT64", "NULLABLE"),
    }


def test_a_nested_model_is_a_record_of_columns():
    address = next(column for column in columns(Invoice) if column.name == "address")
    assert kinds(address.fields) == {
        "street": ("STRING", "REQUIRED"),
        "lines": ("STRING", "REPEATED"),
        "zip_code": ("STRING", "NULLABLE"),
    }


def test_descriptions_come_from_the_declaration():
    assert columns(Invoice)[0].description == "The vendor's own id."
    assert first_line(Invoice) == "What a customer owes."


@pytest.mark.parametrize(
    ("annotation", "said"),
    [(complex, "no BigQuery column"), (int | str, "one type"), (timedelta | None, "no BigQuery column")],
)
def test_a_type_without_a_column_is_refused_by_its_field(annotation: Any, said: str):
    odd = type(
        "Odd", (Record,), {"__annotations__": {"wrong": annotation}, "model_config": {"arbitrary_types_allowed": True}}
    )
    with pytest.raises(TypeError, match=rf"Odd\.wrong: .*{said}"):
        columns(odd)


def test_a_column_without_not_null_keeps_everything_else():
    required = Column("a", "RECORD", "REQUIRED", "said", (Column("b", "STRING", "REQUIRED"),))
    assert required.nullable() == Column("a", "RECORD", "NULLABLE", "said", required.fields)
    assert Column("a", "STRING", "REPEATED").nullable().mode == "REPEATED"


def test_a_table_without_documents_is_laid_out_as_declared():
    made = plain_table(Summary)
    assert (made.dataset, made.table) == ("aso_tenant_{tenant_id}", "summaries")
    assert (made.partition_by, made.partition_type, made.expiration_days) == ("day", "DAY", 10)
    assert made.cluster_by == ("tenant_id",)
    assert made.column_names() == ("tenant_id", "day", "total", "schema_version")


def test_a_table_may_be_partitioned_by_month():
    made = plain_table(MonthlyEntityMetrics)
    assert (made.partition_by, made.partition_type) == ("month", "MONTH")
    assert _table("p.d.months", made).time_partitioning.type_ == "MONTH"


def test_a_record_without_a_table_has_no_definition():
    with pytest.raises(TypeError, match="Shared declares no table"):
        plain_table(Shared)


def test_a_streamed_record_gets_the_extensions_columns_first():
    log = log_table(Invoice)
    assert log.table == "invoices_raw_changelog"
    assert log.columns[: len(EXTENSION_COLUMNS)] == EXTENSION_COLUMNS
    assert (log.partition_by, log.partition_type, log.expiration_days) == ("appended_at", "HOUR", None)
    assert log.column_names()[-1] == "expires_at"
    assert log.column_names().count("schema_version") == 1


def test_a_streamed_record_is_merged_into_a_table_laid_out_as_declared():
    base = base_table(Invoice)
    assert base.table == "invoices_base"
    assert (base.partition_by, base.partition_type, base.expiration_days) == ("issued_on", "DAY", 400)
    assert base.cluster_by == ("state", "count")


def test_a_refused_document_fits_because_no_typed_column_is_required():
    own = [column for column in log_table(Invoice).columns if column.name in Invoice.model_fields]
    assert {column.mode for column in own} == {"NULLABLE", "REPEATED"}


def test_a_streamed_record_cannot_take_a_column_of_the_log():
    class Clash(Invoice):
        """Clashes."""

        data: str = ""

    with pytest.raises(TypeError, match="Clash.*data"):
        log_table(Clash)


def test_a_record_that_is_not_streamed_has_no_log():
    with pytest.raises(TypeError, match="Summary is not streamed"):
        log_table(Summary)


def test_the_view_shows_every_declared_field_and_the_version():
    view = exact_view(Invoice, "aso_tenant_demo")
    for name in (*Invoice.model_fields, "document_name", "version", "schema_version"):
        assert f"base.{name}" in view
    assert "`aso_tenant_demo.invoices_raw_changelog`" in view
    assert "`aso_tenant_demo.invoices_base`" in view


def test_a_second_record_is_provisioned_with_no_change_of_the_machinery():
    class Seen:
        def __init__(self) -> None:
            self.made: list[str] = []

        def ensure_table(self, dataset: str, definition: Any) -> None:
            self.made.append(f"{dataset}.{definition.table}")

        def ensure_view(self, name: str, sql: str) -> None:
            self.made.append(name)

    warehouse: Any = Seen()
    provision(warehouse, Invoice, {"tenant_id": "demo"})
    prefix = "aso_tenant_demo.invoices"
    assert warehouse.made == [f"{prefix}_raw_changelog", f"{prefix}_base", prefix]


def test_a_second_record_has_a_wire_form_for_each_of_its_columns():
    made = Invoice(
        invoice_id="a",
        tenant_id="demo",
        issued_on=date(1970, 1, 3),
        amount=1.0,
        tags=["x"],
        address=Address(street="s"),
        extra={"k": 1},
    )
    values = {
        column.name: wire_value(column, getattr(made, column.name))
        for column in log_table(Invoice).columns
        if column.name in Invoice.model_fields
    }
    assert values["issued_on"] == 2
    assert values["extra"] == '{"k":1}'
    assert values["address"] == {"street": "s", "lines": [], "zip_code": None}
    fixed = {"timestamp": 1, "event_id": "e", "document_name": "n", "operation": "CREATE"}
    fixed |= {"version": 1, "deleted": False, "appended_at": 1}
    assert log_wire(Invoice).serialise({**fixed, **values})


def test_the_client_is_told_partition_retention_cluster_and_modes():
    table = _table("p.d.summaries", plain_table(Summary))
    assert table.time_partitioning.field == "day"
    assert table.time_partitioning.type_ == "DAY"
    assert table.time_partitioning.expiration_ms == 10 * 86_400_000
    assert table.clustering_fields == ["tenant_id"]
    assert [field.mode for field in table.schema] == ["REQUIRED", "REQUIRED", "NULLABLE", "NULLABLE"]
    nested = next(field for field in _table("p.d.i", base_table(Invoice)).schema if field.name == "address")
    assert [field.name for field in nested.fields] == ["street", "lines", "zip_code"]


@pytest.mark.parametrize("record", [record for record in records() if record.table], ids=lambda record: record.__name__)
def test_every_declared_table_can_be_laid_out(record: type[Record]):
    definitions = [log_table(record), base_table(record)] if record.streamed() else [plain_table(record)]
    for definition in definitions:
        by_name = {column.name: column for column in definition.columns}
        assert len(by_name) == len(definition.columns)
        assert "schema_version" in by_name
        # BigQuery's own limits: https://cloud.google.com/bigquery/docs/clustered-tables#limitations
        assert len(definition.cluster_by) <= 4
        for name in definition.cluster_by:
            assert by_name[name].type not in ("JSON", "RECORD", "FLOAT64", "BYTES")
            assert by_name[name].mode != "REPEATED"
        if definition.partition_by:
            assert by_name[definition.partition_by].type in ("DATE", "TIMESTAMP")
        if definition.expiration_days:
            assert definition.partition_by, "rows expire by partition"


def test_json_is_any_map():
    class Loose(Record):
        """Loose."""

        one: Json | None = None
        many: list[Json] = []

    assert kinds(columns(Loose))["one"] == ("JSON", "NULLABLE")
    assert kinds(columns(Loose))["many"] == ("JSON", "REPEATED")
