from concurrent.futures import Future
from typing import Any

import pytest
from google.cloud.bigquery_storage_v1 import types

from shared.adapters.bigquery_write import Batch, _broken, _failure
from shared.errors import TenantNotProvisioned, Unavailable
from shared.streaming.sink import RowsRefused


class Answer:
    row_errors: Any = ()

    def __init__(self, code: int, message: str = "") -> None:
        self.error = type("Status", (), {"code": code, "message": message, "__str__": lambda _: message})()


def batch(tenant: str) -> Batch:
    return Batch(f"projects/p/datasets/aso_tenant_{tenant}/tables/notes_raw_changelog/streams/_default", Future())


def missing(words: str) -> TenantNotProvisioned:
    return TenantNotProvisioned("the table does not exist", cause=words)


NAMING = [
    "Requested entity was not found. Entity: "
    "projects/p/datasets/aso_tenant_b/tables/notes_raw_changelog/streams/_default",
    "Not found: Table p:aso_tenant_b.notes_raw_changelog",
]


@pytest.mark.parametrize("words", NAMING)
def test_missing_table_is_blamed_on_the_tenant_that_the_error_names(words: str):
    waiting = [batch("b2"), batch("b"), batch("ab")]
    assert _broken(waiting, missing(words)) is waiting[1]


@pytest.mark.parametrize("words", ["Not found", "Not found: Table p:aso_tenant_demo2.notes_raw_changelog"])
def test_missing_table_of_nobody_in_flight_is_blamed_on_nobody(words: str):
    assert _broken([batch("demo"), batch("other")], missing(words)) is None


def test_refused_rows_are_looked_for_in_the_first_batch():
    waiting = [batch("demo"), batch("other")]
    assert _broken(waiting, RowsRefused("bad row", {})) is waiting[0]


def test_rows_that_are_newer_than_their_table_are_tried_again():
    answer = Answer(3, "SCHEMA_MISMATCH_EXTRA_FIELDS: Input schema has more fields than BigQuery schema")
    assert isinstance(_failure(answer), Unavailable)
    assert isinstance(_failure(Answer(3, "bad value")), RowsRefused)


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("Field count: value 'ann@example.com' is out of range", "INVALID_ARGUMENT Field count"),
        ("Cannot convert ann@example.com. Field: day; Value: ann@example.com", "INVALID_ARGUMENT Field: day"),
        ("ann@example.com", "INVALID_ARGUMENT"),
    ],
)
def test_of_bigquerys_words_only_code_table_and_field_are_kept(words: str, kept: str):
    refused = _failure(Answer(3, words))
    assert refused is not None
    assert refused.message == kept
    row = types.RowError(index=4, code="FIELDS_ERROR", message=words)
    answer = Answer(0)
    answer.row_errors = (types.RowError.pb(row),)
    rows = _failure(answer)
    assert isinstance(rows, RowsRefused)
    assert rows.rows == {4: kept.replace("INVALID_ARGUMENT", "FIELDS_ERROR")}
    later = _failure(Answer(14, words))
    assert later is not None
    assert later.fields["cause"] == kept.replace("INVALID_ARGUMENT", "UNAVAILABLE")


@pytest.mark.parametrize("words", NAMING)
def test_a_table_is_named_so_that_its_tenant_can_be_blamed(words: str):
    waiting = [batch("b2"), batch("b"), batch("ab")]
    told = _failure(Answer(5, f"{words}, of ann@example.com"))
    assert isinstance(told, TenantNotProvisioned)
    assert "example" not in str(told.fields)
    assert _broken(waiting, told) is waiting[1]
