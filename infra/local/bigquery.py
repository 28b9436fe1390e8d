"""Start the BigQuery emulator so that it works offline and stays fast.

Usage: python -m infra.local.bigquery --rest-port N --grpc-port M --project P [--data-dir D]

Three of its habits are switched off, six limits lifted. It downloads DuckDB's spatial extension and refuses to start
without a network; only ST_* functions need it. After every append and DML it copies the whole table for time travel:
about 500 appends then hold 13 GB; only FOR SYSTEM_TIME is lost without it. It serves as many streams of appends at a
time as it has worker threads (six on two cores; the seventh waits for ever), and forgets the fields of RECORD columns.
Its threads share one connection to DuckDB, which refuses a query while an append is being written: each gets its own.
It sends a table's rows in one message, but none above 11 MB. A column that the API adds to a table is noted and not
made. RANGE_BUCKET becomes a lambda of a kind that DuckDB reads only when asked to. It writes every view that a
statement reads into its text, for policies of rows' access, which are not used here. What it translated is remembered
(infra/local/translations.py).
"""

from __future__ import annotations

import argparse
import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import sqlglot
from bqemulator.api.routes.tabledata import _build_arrow_schema, _fields_raw_from_schema
from bqemulator.catalog import ddl_sync
from bqemulator.catalog.duckdb_repository import DuckDBCatalogRepository
from bqemulator.catalog.memory_repository import MemoryCatalogRepository
from bqemulator.config import LogFormat, LogLevel, PersistenceMode, Settings
from bqemulator.grpc_api import write_servicer
from bqemulator.jobs import ddl_result, executor, routine_ddl
from bqemulator.server import run_forever
from bqemulator.sql import catalog_schema, inner_query
from bqemulator.sql.translator import SQLTranslator
from bqemulator.storage.engine import DuckDBEngine
from bqemulator.storage.sql_identifiers import quoted_table_ref
from bqemulator.storage.type_map import bq_schema_to_duckdb_columns
from bqemulator.versioning.snapshots import SnapshotManager

from infra.local.translations import Translations, Trees

APPEND_STREAMS = 64
SHARED = DuckDBEngine.connection.fget
OWN = threading.local()


def main() -> None:
    """Serve until a signal ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rest-port", type=int, required=True)
    parser.add_argument("--grpc-port", type=int, required=True)
    parser.add_argument("--project", required=True)
    parser.add_argument("--data-dir", type=Path, help="keep the data there; in memory if left out")
    options = parser.parse_args()
    tame()
    run_forever(settings(options.rest_port, options.grpc_port, options.project, options.data_dir))


def tame() -> None:
    """Switch off the extension's download and the snapshots; serve many appends, RECORD columns too."""
    DuckDBEngine._load_spatial = _nothing
    SnapshotManager.capture = _nothing
    grpc.aio.server = functools.partial(_server, grpc.aio.server)
    write_servicer._table_arrow_schema = _arrow_schema
    DuckDBEngine.connection = property(_connection)
    DuckDBEngine._apply_session_pragmas = _old_lambdas(DuckDBEngine._apply_session_pragmas)
    for repository in (MemoryCatalogRepository, DuckDBCatalogRepository):
        repository.update_table = _widened(repository.update_table)
    inner_query.rewrite_for_row_access = _as_it_is
    translations = Translations()
    SQLTranslator.translate = translations.translate(SQLTranslator.translate)
    executor.rewrite_table_refs = translations.qualify(executor.rewrite_table_refs)
    trees = Trees(sqlglot.parse_one)
    for module in (ddl_sync, ddl_result, routine_ddl, executor, catalog_schema):
        module.sqlglot = trees
    sqlglot.parse_one = trees.copied  # type: ignore[assignment]  # one signature where sqlglot has several


def _server(serve: Any, interceptors: Any, options: Any) -> Any:
    """A server of many streams, whose answers may be as large as they are: a table's rows come in one message."""
    options = [one for one in options if one[0] != "grpc.max_send_message_length"]
    return serve(
        ThreadPoolExecutor(APPEND_STREAMS),
        interceptors=interceptors,
        options=[*options, ("grpc.max_send_message_length", -1)],
    )


def _connection(engine: Any) -> Any:
    """A connection for each thread, on the same data: the main thread answers REST, the others take appends."""
    if threading.current_thread() is threading.main_thread():
        return SHARED(engine)
    if not hasattr(OWN, "connection"):
        OWN.connection = SHARED(engine).cursor()
        OWN.connection.execute("SET TimeZone = 'UTC'")
    return OWN.connection


def _old_lambdas(apply: Any) -> Any:
    """The session's settings, and one more."""

    @functools.wraps(apply)
    def applied(self: Any) -> None:
        apply(self)
        self._connection.execute("SET lambda_syntax = 'ENABLE_SINGLE_ARROW'")

    return applied


def _widened(update: Any) -> Any:
    """An update of a table that also makes the columns that are new."""

    @functools.wraps(update)
    def widened(self: Any, table: Any) -> Any:
        before = self.get_table(table.project_id, table.dataset_id, table.table_id)
        updated = update(self, table)
        known = {field.name for field in before.schema_.fields} if before else set()
        new = [field for field in _fields_raw_from_schema(table.schema_.fields) if field["name"] not in known]
        reference = quoted_table_ref(table.project_id, table.dataset_id, table.table_id)
        # One repository keeps another, without an engine, as its cache.
        made = self._engine is not None and table.table_type == "TABLE"
        for name, kind in bq_schema_to_duckdb_columns(new) if made else ():
            # An ALTER TABLE in SQL has made it already.
            self._engine.execute(f'ALTER TABLE {reference} ADD COLUMN IF NOT EXISTS "{name}" {kind}')
        return updated

    return widened


def _arrow_schema(table: Any) -> Any:
    """A table's Arrow schema with the fields of its RECORD columns."""
    return _build_arrow_schema(_fields_raw_from_schema(table.schema_.fields))


def settings(rest_port: int, grpc_port: int, project: str, data_dir: Path | None = None) -> Settings:
    """The emulator's settings: no downloads, no metrics, warnings only."""
    return Settings(
        rest_port=rest_port,
        grpc_port=grpc_port,
        default_project_id=project,
        persistence_mode=PersistenceMode.PERSISTENT if data_dir else PersistenceMode.EPHEMERAL,
        data_dir=data_dir,
        time_travel_retention_days=0,
        enable_format_extensions=False,
        metrics_enabled=False,
        tracing_enabled=False,
        log_level=LogLevel.WARNING,
        log_format=LogFormat.CONSOLE,
    )


def _as_it_is(bq_sql: str, **_: Any) -> str:
    """A statement that no policy changes."""
    return bq_sql


def _nothing(self: Any, *arguments: Any, **options: Any) -> None:
    """Stands in for what is switched off."""


if __name__ == "__main__":
    main()
