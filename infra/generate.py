"""Everything that is generated from the declarations; committed, and compared by a test.

python -m infra.generate          write the files
python -m infra.generate --check  exit 1 and name the files that differ
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from infra.functions import DEPLOYED_OPS_DATABASE, load_functions
from shared.detectors.explanation import pages as detector_pages
from shared.schema.bigquery import columns, first_line, plain_table
from shared.schema.firestore import indexes, rules
from shared.schema.record import Mark, Record, Renamed, marks_of
from shared.schema.registry import records
from shared.settings import Settings
from shared.streaming.tables import base_table, exact_view, log_table

ROOT = Path(__file__).resolve().parents[1]


def outputs() -> dict[str, Callable[[], str]]:
    """Path under the repository -> what belongs into it."""
    return {
        "infra/generated/firestore.rules": lambda: rules(records()),
        "infra/generated/firestore.ops.rules": lambda: rules(()),
        "infra/generated/firestore.indexes.json": lambda: _json(indexes(records())),
        "infra/generated/firestore.ops.indexes.json": lambda: _json(indexes(records(), "ops")),
        "infra/generated/firebase.json": lambda: _json(firebase()),
        "infra/generated/bigquery.json": lambda: _json(tables()),
        "docs/data-dictionary.md": dictionary,
        "docs/settings.md": settings_table,
        "docs/functions.md": functions_table,
        **{f"docs/detectors/{name}": partial(detector_pages().__getitem__, name) for name in detector_pages()},
    }


def firebase() -> dict[str, Any]:
    """What `firebase deploy --only firestore` reads: rules and indexes of both databases."""
    return {
        "firestore": [
            {"database": "(default)", "rules": "firestore.rules", "indexes": "firestore.indexes.json"},
            {
                "database": DEPLOYED_OPS_DATABASE,
                "rules": "firestore.ops.rules",
                "indexes": "firestore.ops.indexes.json",
            },
        ]
    }


def tables() -> dict[str, Any]:
    """Every table and view of a tenant, by name with placeholders."""
    made: dict[str, Any] = {}
    for record in records():
        if record.table is None:
            continue
        definitions = [log_table(record), base_table(record)] if record.streamed() else [plain_table(record)]
        for definition in definitions:
            made[f"{definition.dataset}.{definition.table}"] = asdict(definition)
        if record.streamed():
            made[record.table.name] = {"view": exact_view(record, record.table.dataset)}
    return made


def dictionary() -> str:
    """The data dictionary: every record with its fields."""
    lines = ["# Data dictionary", "", "Generated from the declared records by `make generate`: do not edit.", ""]
    return "\n".join([*lines, *(line for record in records() for line in entry(record))])


def entry(record: type[Record]) -> list[str]:
    """What the data dictionary says of one record: where it is, its fields, and what does not leave as it is."""
    lines = [f"## {record.__name__}", "", first_line(record), ""]
    if record.collection is not None:
        lines.append(f"- Firestore `{record.collection.database}`: `{record.collection.path}`")
    if record.table is not None:
        lines.append(f"- BigQuery: `{record.table.name}`{_layout(record)}")
    for namespace in record.caches:
        lines.append(f"- A change forgets `{namespace.key}`")
    for what, paths in asdict(record.transforms).items():
        named = ", ".join(path if isinstance(path, str) else f"{path[0]} to {path[1]}" for path in paths)
        lines += [f"- Before it leaves for BigQuery, {what}: {named}"] if paths else []
    lines += ["", "| field | type | null | marks | meaning |", "| --- | --- | --- | --- | --- |"]
    fields = {_column_name(name, info): name for name, info in record.model_fields.items()}
    for column in columns(record):
        null = {"NULLABLE": "yes", "REQUIRED": "", "REPEATED": "list"}[column.mode]
        marks = _marks(record, fields.get(column.name))
        lines.append(f"| `{column.name}` | {column.type} | {null} | {marks} | {column.description} |")
    for name in record.marked(Mark.DROPPED):
        description = record.model_fields[name].description or ""
        lines.append(f"| `{name}` | none |  | {_marks(record, name)} | {description} |")
    return [*lines, ""]


def _column_name(name: str, info: FieldInfo) -> str:
    return next((mark.name for mark in marks_of(info) if isinstance(mark, Renamed)), name)


def _marks(record: type[Record], field: str | None) -> str:
    if field is None:
        return ""
    found = marks_of(record.model_fields[field])
    renamed = [f"renamed from `{field}`" for mark in found if isinstance(mark, Renamed)]
    return ", ".join([mark.value for mark in Mark if mark in found] + renamed)


def settings_table() -> str:
    """Every setting of the functions."""
    lines = ["# Settings", "", "Generated by `make generate`: do not edit.", "", "| variable | default | meaning |"]
    lines.append("| --- | --- | --- |")
    for info in Settings.model_fields.values():
        default = "required" if info.is_required() else f"`{info.default}`" if info.default else "none"
        lines.append(f"| `{info.alias}` | {default} | {info.description} |")
    return "\n".join([*lines, ""])


def functions_table() -> str:
    """Every function: what it does and what calls it."""
    lines = ["# Functions", "", "Generated from each `function.yaml` by `make generate`: do not edit.", ""]
    lines += ["| function | does | called by | reads | writes |", "| --- | --- | --- | --- | --- |"]
    for spec in load_functions(ROOT / "functions"):
        callers = ["HTTP"] if spec.trigger.http else []
        if spec.trigger.firestore:
            callers.append(f"Firestore `{spec.trigger.firestore.document}` of each streamed database")
        callers += [f"topic `{topic}`" for topic in spec.trigger.topics]
        callers += [f"schedule `{schedule.cron}`" for schedule in spec.trigger.schedules]
        lines.append(
            f"| `{spec.name}` | {spec.description} | {', '.join(callers)} | {', '.join(spec.reads)} | "
            f"{', '.join(spec.writes)} |"
        )
    return "\n".join([*lines, ""])


def _layout(record: type[Record]) -> str:
    table = record.table
    if table is None:
        return ""
    parts = [f"partitioned by `{table.partition_by}`"] if table.partition_by else []
    if table.cluster_by:
        parts.append("clustered by " + ", ".join(f"`{name}`" for name in table.cluster_by))
    if table.retention_days:
        parts.append(f"kept {table.retention_days} days")
    return "; " + ", ".join(parts) if parts else ""


def _json(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"


def main() -> int:
    """Write the files, or with --check compare them."""
    different = []
    for name, made in outputs().items():
        path, text = ROOT / name, made()
        if path.exists() and path.read_text() == text:
            continue
        different.append(name)
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if "--check" in sys.argv and different:
        print("generated files differ; run `make generate`: " + ", ".join(different))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
