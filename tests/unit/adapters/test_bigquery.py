from types import SimpleNamespace

import pytest
from google.api_core import exceptions
from requests.exceptions import ConnectionError as RequestsConnectionError

from shared.adapters.bigquery import BigQueryWarehouse, translated
from shared.errors import AppError, Rejected, Unavailable

CONFLICT = "Could not serialize access to table p:d.stage_counts due to concurrent update"
INVALID = {"reason": "invalidQuery", "message": "Value 'secret@example.test' has type STRING"}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (exceptions.BadRequest(CONFLICT, errors=[{"reason": "invalidQuery"}]), Unavailable),
        (exceptions.BadRequest("resources", errors=[{"reason": "resourcesExceeded"}]), Unavailable),
        (exceptions.ServiceUnavailable("later"), Unavailable),
        (exceptions.Forbidden("quota", errors=[{"reason": "quotaExceeded"}]), Unavailable),
        (RequestsConnectionError("reset"), Unavailable),
        (TimeoutError(), Unavailable),
        (exceptions.BadRequest(INVALID["message"], errors=[INVALID]), Rejected),
        (exceptions.NotFound("no table", errors=[{"reason": "notFound"}]), Rejected),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else str(value)[:30],
)
def test_what_may_work_later_is_told_from_what_never_will(error: Exception, expected: type[AppError]):
    with pytest.raises(expected), translated():
        raise error


def test_bigquerys_own_words_are_not_passed_on_as_they_may_quote_values():
    with pytest.raises(Rejected) as refused, translated():
        raise exceptions.BadRequest(INVALID["message"], errors=[INVALID])
    assert refused.value.fields == {"cause": "invalidQuery"}


class Job:
    """A job that does not end in time."""

    cancelled = False

    def result(self, timeout: float) -> None:
        raise TimeoutError

    def cancel(self) -> None:
        self.cancelled = True


def test_a_statement_that_nobody_waits_for_any_more_is_cancelled():
    job = Job()
    warehouse = BigQueryWarehouse(SimpleNamespace(query=lambda sql, job_config: job), lambda: None)  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        warehouse.execute("MERGE ...")
    assert job.cancelled
