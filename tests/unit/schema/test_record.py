"""What a declaration says of itself: paths, marks, what Firestore stores."""

from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError

from shared.schema.record import Collection, Mark, Namespace, Table
from tests.unit.schema.samples import Address, Invoice, Shared, Summary

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
OPEN = {"invoice_id": "a", "tenant_id": "demo", "issued_on": "2026-01-05", "amount": 1.5}


def test_collection_fills_its_path_and_names_what_is_missing():
    assert Invoice.collection.at(tenant_id="demo") == "tenants/demo/invoices"
    with pytest.raises(KeyError, match="tenant_id"):
        Invoice.collection.at()


def test_collection_knows_its_own_documents():
    assert Invoice.collection.match("tenants/demo/invoices/7") == {"tenant_id": "demo", "document_id": "7"}
    assert Shared.collection.match("words/one") == {"document_id": "one"}


@pytest.mark.parametrize(
    "path",
    [
        "tenants/demo/invoices",
        "tenants/demo/orders/7",
        "tenants/demo/invoices/7/lines/1",
        "customers/demo/invoices/7",
        "invoices/7",
    ],
)
def test_collection_does_not_take_other_documents_for_its_own(path):
    assert Invoice.collection.match(path) is None


def test_collection_is_called_by_the_last_part_of_its_path():
    assert Invoice.collection.name == "invoices"
    assert Collection("words").name == "words"


def test_table_is_split_into_dataset_and_name():
    table = Table("aso_tenant_{tenant_id}.invoices")
    assert (table.dataset, table.table) == ("aso_tenant_{tenant_id}", "invoices")


def test_namespace_of_a_tenant_is_a_scope():
    assert Namespace("invoices:{tenant_id}", ttl_seconds=1).scope(tenant_id="demo") == "invoices:demo"


def test_marks_are_found_in_declared_order_nested_ones_too():
    assert Invoice.marked(Mark.KEY) == ("invoice_id", "tenant_id")
    assert Invoice.marked(Mark.CLIENT_WRITABLE) == ("state", "remark")
    assert Invoice.marked(Mark.PERSONAL) == ("remark",)
    assert Invoice.marked(Mark.IMMUTABLE) == ("issued_on",)
    assert Shared.marked(Mark.IMMUTABLE) == ()


def test_marks_leave_constraints_in_force():
    with pytest.raises(ValidationError, match="amount"):
        Invoice.model_validate({**OPEN, "amount": -1})


def test_only_records_with_documents_and_a_table_are_streamed():
    assert Invoice.streamed()
    assert not Summary.streamed()
    assert not Shared.streamed()


def test_document_holds_dates_as_text_and_times_as_times():
    made = Invoice.model_validate({**OPEN, "seen_at": AT, "extra": {"on": date(2026, 1, 6), "all": [AT]}})
    document = made.document()
    assert document["issued_on"] == "2026-01-05"
    assert document["seen_at"] == AT
    assert document["extra"] == {"on": "2026-01-06", "all": [AT]}


def test_document_read_back_is_the_same_record():
    made = Invoice.model_validate({**OPEN, "address": Address(street="s", lines=["x"]), "tags": ["t"], "parts": (1, 2)})
    assert Invoice.model_validate(made.document()) == made


def test_a_field_that_an_older_declaration_knew_is_ignored():
    assert Invoice.model_validate({**OPEN, "long_gone": 1}).invoice_id == "a"


def test_a_record_cannot_be_changed_by_accident():
    with pytest.raises(ValidationError, match="frozen"):
        Invoice.model_validate(OPEN).amount = 2.0
