from concurrent.futures import Future

import pytest

from shared.adapters.bigquery_write import Batch, _broken, _failure
from shared.errors import TenantNotProvisioned, Unavailable
from shared.streaming.sink import RowsRefused


class Answer:
    row_errors = ()

    def __init__(self, code: int, message: str) -> None:
        self.error = type("Status", (), {"code": code, "message": message, "__str__": lambda _: message})()


def batch(tenant: str) -> Batch:
    return Batch(f"projects/p/datasets/aso_tenant_{tenant}/tables/notes_raw_changelog/streams/_default", Future())


def missing(words: str) -> TenantNotProvisioned:
    return TenantNotProvisioned("the table does not exist", cause=words)


@pytest.mark.parametrize(
    "words",
    [
        "Requested entity was not found. Entity: "
        "projects/p/datasets/aso_tenant_b/tables/notes_raw_changelog/streams/_default",
        "Not found: Table p:aso_tenant_b.notes_raw_changelog",
    ],
)
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
