"""Merging every current table of one tenant, or of all."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from shared.errors import AppError, Unavailable
from shared.schema.names import tenant_id
from shared.schema.record import PLACEHOLDER, Record
from shared.schema.registry import streamed_records
from shared.streaming.merge import Merger
from shared.streaming.messages import MergeRequested
from shared.tenants.service import Tenants


def merge_all(
    wanted: MergeRequested, tenants: Tenants, merger: Merger, records: Iterable[type[Record]] | None = None
) -> dict[str, Any]:
    """Merge what is wanted; one report a table that was touched. A table that fails, fails alone and is reported.

    Unavailable, with the report, where a table that was to be merged in any case could not be.
    """
    reports: list[dict[str, Any]] = []
    skipped = 0
    for record, names in _tables(wanted, tenants, streamed_records() if records is None else records):
        try:
            merged = merger.merge(record, names, force=wanted.force, compacting=wanted.compact)
        except AppError as error:
            reports.append({"table": record.table and record.table.name, **names, **_failed(error)})
            continue
        if merged.status in ("not due", "busy"):
            skipped += 1
        else:
            reports.append(asdict(merged))
    outcome = {"tables": reports, "skipped": skipped}
    if wanted.force and any(report.get("retry") for report in reports):
        raise Unavailable("not every table could be merged", **outcome)
    return outcome


def _failed(error: AppError) -> dict[str, Any]:
    return {"status": "failed", "reason": error.reason, "error": error.message, "retry": isinstance(error, Unavailable)}


def _tables(
    wanted: MergeRequested, tenants: Tenants, records: Iterable[type[Record]]
) -> Iterable[tuple[type[Record], Mapping[str, str]]]:
    ids = [tenant_id(wanted.tenant_id)] if wanted.tenant_id else tenants.ids()
    for record in records:
        placeholders = PLACEHOLDER.findall(record.table.dataset) if record.table else []
        if placeholders == ["tenant_id"]:
            yield from ((record, {"tenant_id": one}) for one in ids)
        elif not placeholders and not wanted.tenant_id:
            yield record, {}
