"""BigQuery's REST side through its official client: queries, loads, tables and views."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from requests.exceptions import RequestException

from shared.errors import NotNow, Rejected, Unavailable
from shared.schema.bigquery import Column, TableDefinition

if TYPE_CHECKING:
    from shared.adapters.bigquery_read import TableReader

DAY_MILLISECONDS = 86_400_000
TIMEOUT_SECONDS = 300.0
CHANGE_SECONDS = 480.0
"""For what changes rows: less than any lease under which it runs, and than the ten minutes that a merge looks back."""

PAGE_ROWS = 50
"""Of rows that are read a few at a time: each may have some MiB."""

SCALARS: tuple[tuple[type, str], ...] = (
    (bool, "BOOL"),
    (int, "INT64"),
    (float, "FLOAT64"),
    (Decimal, "NUMERIC"),
    (str, "STRING"),
    (bytes, "BYTES"),
    (datetime, "TIMESTAMP"),
    (date, "DATE"),
)


TRANSIENT_REASONS = frozenset(
    {"backendError", "internalError", "jobBackendError", "jobInternalError", "rateLimitExceeded", "quotaExceeded"}
    | {"tableUnavailable", "resourcesExceeded", "jobRateLimitExceeded"}
)
CONFLICTS = ("could not serialize access", "concurrent update", "aborted due to conflict")
"""BigQuery answers 400 invalidQuery where two statements change a table at once; only its words tell."""


@contextmanager
def translated() -> Iterator[None]:
    """BigQuery's errors in Scout's words; its own stay behind, as they may quote values."""
    try:
        yield
    except (
        exceptions.ServerError,
        exceptions.TooManyRequests,
        exceptions.Conflict,
        exceptions.RetryError,
        RequestException,
        TimeoutError,
        ConnectionError,
    ) as error:
        raise Unavailable("BigQuery is not available", cause=type(error).__name__) from error
    except exceptions.Forbidden as error:
        # Quota answers come as 403 too; rights that are missing may be granted while the event waits.
        raise Unavailable("BigQuery refused for now", cause=_reason(error)) from error
    except exceptions.NotFound as error:
        raise Rejected("BigQuery knows no such table", cause=_reason(error)) from error
    except exceptions.BadRequest as error:
        reason = _reason(error)
        if any(words in str(error).lower() for words in CONFLICTS):
            raise NotNow("another statement changes the table", cause=reason) from error
        if reason in TRANSIENT_REASONS:
            raise Unavailable("BigQuery could not do it now", cause=reason) from error
        raise Rejected("BigQuery refused the statement", cause=reason) from error


def _reason(error: exceptions.GoogleAPICallError) -> str:
    """BigQuery's one word for what happened: `invalidQuery`, `notFound`, ..."""
    return next((str(entry["reason"]) for entry in error.errors if "reason" in entry), type(error).__name__)


class BigQueryWarehouse:
    """BigQuery (port `Warehouse`)."""

    def __init__(self, client: bigquery.Client, reader: Callable[[], "TableReader"]) -> None:
        self.client = client
        self.connect_reader = reader

    @classmethod
    def connect(cls, project: str, endpoint: str, location: str, grpc_endpoint: str = "") -> "BigQueryWarehouse":
        """A client; an endpoint that begins with http:// is plaintext and takes anonymous callers."""

        def reader() -> "TableReader":
            # Only detectors read large results: nobody else pays for the import.
            from shared.adapters.bigquery_read import TableReader

            return TableReader.connect(project, grpc_endpoint if endpoint.startswith("http://") else "")

        if endpoint.startswith("http://"):
            client = bigquery.Client(
                project=project,
                credentials=AnonymousCredentials(),
                client_options=ClientOptions(api_endpoint=endpoint),
                location=location,
            )
            return cls(client, reader)
        return cls(bigquery.Client(project=project, location=location), reader)

    def query(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        with translated():
            return [dict(row.items()) for row in _result(self._run(sql, parameters), TIMEOUT_SECONDS)]

    def rows(self, sql: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        with translated():
            for row in self._run(sql, parameters).result(page_size=PAGE_ROWS, timeout=TIMEOUT_SECONDS):
                yield dict(row.items())

    def estimate(self, sql: str, **parameters: Any) -> int:
        with translated():
            return int(self._run(sql, parameters, dry_run=True).total_bytes_processed or 0)

    def columns(self, sql: str, into: str, **parameters: Any) -> dict[str, Any]:
        # It is not deleted but expires: the same statement may be read by another run at this moment.
        until = datetime.now(UTC) + timedelta(hours=2)
        kept = f"OPTIONS (expiration_timestamp = TIMESTAMP '{until:%Y-%m-%d %H}:00:00+00')"
        with translated():
            _result(self._run(f"CREATE OR REPLACE TABLE `{into}` {kept} AS\n{sql}", parameters), TIMEOUT_SECONDS)
            return self._reader.columns(into)

    def execute(self, sql: str, **parameters: Any) -> int:
        with translated():
            job = self._run(sql, parameters)
            _result(job, CHANGE_SECONDS)
        return int(job.num_dml_affected_rows or 0)

    def load(self, table: str, rows: Iterable[Mapping[str, Any]]) -> int:
        data = io.BytesIO(b"".join(orjson.dumps(dict(row), default=_text) + b"\n" for row in rows))
        configuration = bigquery.LoadJobConfig(source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON)
        with translated():
            job = self.client.load_table_from_file(data, table, job_config=configuration)
            _result(job, CHANGE_SECONDS)
        return int(job.output_rows or 0)

    def ensure_dataset(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        dataset = bigquery.Dataset(f"{self.client.project}.{name}")
        dataset.location = self.client.location
        dataset.labels = dict(labels or {})
        with translated():
            self.client.create_dataset(dataset, exists_ok=True)

    def ensure_table(self, dataset: str, definition: TableDefinition) -> None:
        reference = f"{self.client.project}.{dataset}.{definition.table}"
        with translated():
            try:
                found = self.client.get_table(reference)
            except exceptions.NotFound:
                try:
                    self.client.create_table(_table(reference, definition))
                    return
                except exceptions.Conflict:
                    # Somebody else made it meanwhile, perhaps of an older declaration.
                    found = self.client.get_table(reference)
            present = {field.name for field in found.schema}
            missing = [column.nullable() for column in definition.columns if column.name not in present]
            if missing:
                found.schema = [*found.schema, *map(_field, missing)]
                self.client.update_table(found, ["schema"])

    def ensure_view(self, name: str, sql: str) -> None:
        self.execute(f"CREATE OR REPLACE VIEW `{name}` AS\n{sql}")

    def exists(self, name: str) -> bool:
        try:
            with translated():
                if "." in name:
                    self.client.get_table(f"{self.client.project}.{name}")
                else:
                    self.client.get_dataset(f"{self.client.project}.{name}")
        except Rejected:
            return False
        return True

    def datasets(self) -> list[str]:
        """Names of the project's datasets."""
        with translated():
            return [found.dataset_id for found in self.client.list_datasets()]

    def drop_dataset(self, name: str) -> None:
        """Delete a dataset with everything in it, or nothing."""
        with translated():
            self.client.delete_dataset(f"{self.client.project}.{name}", delete_contents=True, not_found_ok=True)

    def copy_table(self, source: str, target: str) -> None:
        """Copy `dataset.table` whole, schema and layout too; the target must not exist."""
        names = [f"{self.client.project}.{name}" for name in (source, target)]
        configuration = bigquery.CopyJobConfig(write_disposition=bigquery.WriteDisposition.WRITE_EMPTY)
        with translated():
            self.client.copy_table(*names, job_config=configuration).result(timeout=TIMEOUT_SECONDS)

    def drop_table(self, name: str) -> None:
        """Delete `dataset.table`, or nothing."""
        with translated():
            self.client.delete_table(f"{self.client.project}.{name}", not_found_ok=True)

    @cached_property
    def _reader(self) -> "TableReader":
        return self.connect_reader()

    def _run(self, sql: str, parameters: Mapping[str, Any], dry_run: bool = False) -> bigquery.QueryJob:
        configuration = bigquery.QueryJobConfig(
            query_parameters=[_parameter(name, value) for name, value in parameters.items()]
        )
        if dry_run:
            configuration.dry_run, configuration.use_query_cache = True, False
        return self.client.query(sql, job_config=configuration)


def _result(job: Any, seconds: float) -> Any:
    """What a job answers. One that takes longer is cancelled: what nobody waits for must not change anything later."""
    try:
        return job.result(timeout=seconds)
    except TimeoutError:
        job.cancel()
        raise


def _table(reference: str, definition: TableDefinition) -> bigquery.Table:
    table = bigquery.Table(reference, schema=[_field(column) for column in definition.columns])
    table.description = definition.description
    table.labels = definition.labels
    if definition.partition_by:
        table.time_partitioning = bigquery.TimePartitioning(
            type_=definition.partition_type,
            field=definition.partition_by,
            expiration_ms=definition.expiration_days * DAY_MILLISECONDS if definition.expiration_days else None,
        )
    if definition.cluster_by:
        table.clustering_fields = list(definition.cluster_by)
    return table


def _field(column: Column) -> bigquery.SchemaField:
    return bigquery.SchemaField(
        column.name,
        column.type,
        mode=column.mode,
        description=column.description or None,
        fields=[_field(inner) for inner in column.fields],
    )


def _parameter(name: str, value: Any) -> bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter:
    if isinstance(value, list | tuple):
        kind = _type(value[0]) if value else "STRING"
        return bigquery.ArrayQueryParameter(name, kind, list(value))
    return bigquery.ScalarQueryParameter(name, _type(value), value)


def _type(value: Any) -> str:
    for kind, name in SCALARS:
        if isinstance(value, kind):
            return name
    raise TypeError(f"no BigQuery parameter type for {type(value).__name__}")


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
