"""Tenants: their settings, what is known of them, and how they are made ready."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from shared.errors import BadRequest, Rejected, Unavailable, UnknownTenant
from shared.schema.registry import records
from shared.tenants.provision import TENANT_DATASET, provision_tenant
from shared.tenants.records import SourceSettings, Tenant
from shared.tenants.service import REMEMBER_SECONDS, Tenants
from tests.fakes import FakeDocuments

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
BASIC: dict[str, Any] = {"tenant_id": "demo", "created_at": AT, "updated_at": AT}


class Warehouse:
    """Remembers what was ensured; fails once at the table `broken`."""

    def __init__(self) -> None:
        self.datasets: dict[str, dict[str, str]] = {}
        self.made: dict[str, Any] = {}
        self.calls: list[str] = []
        self.broken = ""

    def ensure_dataset(self, name: str, labels: Any = None) -> None:
        self.datasets.setdefault(name, dict(labels or {}))

    def ensure_table(self, dataset: str, definition: Any) -> None:
        self._make(f"{dataset}.{definition.table}", definition)

    def ensure_view(self, name: str, sql: str) -> None:
        self._make(name, sql)

    def _make(self, name: str, made: Any) -> None:
        if name == self.broken:
            self.broken = ""
            raise Unavailable("BigQuery is not available")
        assert name.split(".")[0] in self.datasets, "the dataset comes first"
        self.calls.append(name)
        self.made[name] = made


@pytest.fixture
def documents() -> FakeDocuments:
    return FakeDocuments()


@pytest.fixture
def warehouse() -> Any:
    return Warehouse()


def test_tenant_gets_every_declared_table_and_view(documents: FakeDocuments, warehouse: Any):
    made = provision_tenant(documents, warehouse, "demo")
    declared = [record for record in records() if record.table and record.table.dataset == TENANT_DATASET]
    assert made == [record.table.name.format(tenant_id="demo") for record in declared if record.table]
    for record in declared:
        name = record.table.name.format(tenant_id="demo") if record.table else ""
        expected = {name, f"{name}_raw_changelog", f"{name}_base"} if record.streamed() else {name}
        assert expected <= warehouse.made.keys()
    assert warehouse.datasets == {"aso_tenant_demo": {"tenant": "demo"}}


def test_second_time_ends_as_the_first(documents: FakeDocuments, warehouse: Any):
    first = provision_tenant(documents, warehouse, "demo", name="Shop")
    made, settings = dict(warehouse.made), dict(documents.documents["tenants/demo"])
    assert provision_tenant(documents, warehouse, "demo") == first
    assert warehouse.made == made
    again = documents.documents["tenants/demo"]
    assert {**again, "updated_at": None} == {**settings, "updated_at": None}


def test_settings_are_kept_except_those_given(documents: FakeDocuments, warehouse: Any):
    source = SourceSettings(property_id="properties/1")
    provision_tenant(documents, warehouse, "demo", name="Shop", sources={"ga4": source}, currency="EUR")
    provision_tenant(documents, warehouse, "demo", name="Store")
    tenant = Tenant.model_validate(documents.documents["tenants/demo"])
    assert (tenant.name, tenant.currency, tenant.sources) == ("Store", "EUR", {"ga4": source})


def test_tenant_is_found_only_once_everything_is_there(documents: FakeDocuments, warehouse: Any):
    warehouse.broken = "aso_tenant_demo.opportunities_base"
    with pytest.raises(Unavailable):
        provision_tenant(documents, warehouse, "demo")
    assert not Tenants(documents).exists("demo")
    provision_tenant(documents, warehouse, "demo")
    assert Tenants(documents).exists("demo")


def test_name_that_no_dataset_can_have_is_refused_before_anything_is_made(documents: FakeDocuments, warehouse: Any):
    with pytest.raises(BadRequest):
        provision_tenant(documents, warehouse, "no-good")
    assert (warehouse.datasets, documents.documents) == ({}, {})


def test_settings_that_are_not_valid_are_not_stored(documents: FakeDocuments, warehouse: Any):
    with pytest.raises((ValidationError, Rejected)):
        provision_tenant(documents, warehouse, "demo", currency="euros")
    assert documents.documents == {}


@pytest.mark.parametrize(
    "settings",
    [
        {"currency": "usd"},
        {"currency": "EURO"},
        {"value_per_conversion": 0},
        {"value_per_conversion": -1},
        {"status": "gone"},
        {"sources": {"ga4": {"settling_days": 31}}},
        {"sources": {"ga4": {"settling_days": -1}}},
        {"sources": {"ga4": "properties/1"}},
        {"created_at": "yesterday"},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]):
    with pytest.raises(ValidationError):
        Tenant.model_validate({**BASIC, **settings})


def test_settings_left_out_have_sensible_values():
    tenant = Tenant.model_validate({**BASIC, "sources": {"ga4": {}}})
    assert (tenant.status, tenant.currency, tenant.value_per_conversion) == ("active", "USD", None)
    assert (tenant.sources["ga4"].enabled, tenant.sources["ga4"].settling_days) == (True, 2)


class Clock:
    at = 0.0

    def __call__(self) -> float:
        return self.at


def test_found_tenant_is_remembered_for_a_minute(documents: FakeDocuments):
    clock = Clock()
    tenants = Tenants(documents, clock)
    documents.documents["tenants/demo"] = dict(BASIC)
    assert tenants.exists("demo")
    del documents.documents["tenants/demo"]
    clock.at = REMEMBER_SECONDS - 1
    assert tenants.exists("demo")
    clock.at = REMEMBER_SECONDS
    assert not tenants.exists("demo")


def test_unknown_tenant_is_never_remembered(documents: FakeDocuments):
    tenants = Tenants(documents, Clock())
    assert not tenants.exists("demo")
    documents.documents["tenants/demo"] = dict(BASIC)
    assert tenants.exists("demo")


def test_settings_are_read_fresh_each_time(documents: FakeDocuments):
    tenants = Tenants(documents, Clock())
    documents.documents["tenants/demo"] = dict(BASIC)
    assert tenants.get("demo").currency == "USD"
    documents.documents["tenants/demo"]["currency"] = "EUR"
    assert tenants.get("demo").currency == "EUR"


def test_nobodys_settings_are_an_error_that_names_the_field(documents: FakeDocuments):
    with pytest.raises(UnknownTenant) as unknown:
        Tenants(documents).get("nobody")
    assert unknown.value.fields["field"] == "tenant_id"


def test_ids_are_of_tenants_alone(documents: FakeDocuments):
    for path in ("tenants/b", "tenants/a", "tenants/a/opportunities/x", "words/c"):
        documents.documents[path] = {}
    assert sorted(Tenants(documents).ids()) == ["a", "b"]


def test_ids_are_valid_names_of_active_tenants(documents: FakeDocuments):
    for name, values in {"a": {}, "b": {"status": "active"}, "c": {"status": "suspended"}, "My-Shop": {}}.items():
        documents.documents[f"tenants/{name}"] = values
    assert Tenants(documents).ids() == ["a", "b"]


def test_suspended_tenant_is_unknown(documents: FakeDocuments):
    documents.documents["tenants/demo"] = {**BASIC, "status": "suspended"}
    assert not Tenants(documents).exists("demo")
    with pytest.raises(UnknownTenant):
        Tenants(documents).get("demo")


def test_settings_that_are_stored_and_not_valid_are_named_without_their_value(documents: FakeDocuments):
    documents.documents["tenants/demo"] = {**BASIC, "currency": "secret", "sources": {"ga4": "secret"}}
    with pytest.raises(Rejected) as refused:
        Tenants(documents).get("demo")
    assert [error["field"] for error in refused.value.fields["errors"]] == ["currency", "sources.ga4"]
    assert "secret" not in str(refused.value.fields)
