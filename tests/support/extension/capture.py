"""Makes captured.json: what the extension's own code logs of a history, and what Firestore holds in the end.

    python -m tests.support.extension.capture

It installs the extension's packages from npm under .local, starts the emulators, runs capture.js, reads the tables that
the extension's code wrote, and takes the SQL of its views (views.js). The event times that it hands to the tracker are
the commit times, to the microsecond: the emulator's own events carry whole seconds. The tracker writes down what it is
given, digit for digit.
"""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import orjson

from infra.local.cloud import LocalCloud
from shared.adapters.bigquery import BigQueryWarehouse
from tests.support.extension import CAPTURED, CHANGELOG, PACKAGES, SCHEMAS, TABLES
from tests.support.processes import ROOT

MODULES = ROOT / ".local" / "bench" / "npm"
DATASET = "firestore_export"
ORDER = ("timestamp", "document_name", "operation", "event_id")


def main() -> None:
    """Capture, and write the file."""
    with tempfile.TemporaryDirectory() as folder:
        state, nothing = Path(folder) / "cloud", Path(folder) / "functions"
        nothing.mkdir()
        with LocalCloud(state, nothing) as cloud:
            CAPTURED.write_bytes(orjson.dumps(capture(cloud, folder), option=orjson.OPT_INDENT_2) + b"\n")


def capture(cloud: LocalCloud, scratch: str) -> dict[str, Any]:
    """What was written and what was logged of it."""
    env = cloud.env
    project = env["GOOGLE_CLOUD_PROJECT"]
    warehouse = BigQueryWarehouse.connect(project, env["BIGQUERY_EMULATOR_HOST"], "US")
    warehouse.ensure_dataset(DATASET)
    for table in TABLES:
        warehouse.ensure_table(DATASET, CHANGELOG.named(DATASET, table))
    options = {
        "modules": str(installed() / "node_modules"),
        "bigquery": f"{env['BIGQUERY_EMULATOR_HOST']}/bigquery/v2",
        "project": project,
        "dataset": DATASET,
        "scratch": scratch,
    }
    command = ["node", str(Path(__file__).with_name("capture.js")), orjson.dumps(options).decode()]
    done = subprocess.run(command, env={**os.environ, **env}, stdout=subprocess.PIPE, check=True)
    said = orjson.loads(done.stdout.splitlines()[-1])
    columns = ", ".join(CHANGELOG.names)
    rows = {
        table: sorted(
            warehouse.query(f"SELECT {columns} FROM `{DATASET}.{table}_raw_changelog`"),
            key=lambda row: tuple(str(row[name]) for name in ORDER),
        )
        for table in TABLES
    }
    return {"made_with": PACKAGES, "project": project, **said, "rows": rows, "views": views()}


def views() -> dict[str, Any]:
    """The SQL of the extension's views, in a project, a dataset and of a table that are called so."""
    options = {
        "modules": str(installed() / "node_modules"),
        "project": "PROJECT",
        "dataset": "DATASET",
        "table": "users",
    }
    files = [str(path) for path in sorted(SCHEMAS.glob("*.json"))]
    command = ["node", str(Path(__file__).with_name("views.js")), orjson.dumps(options).decode(), *files]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
    return found


def installed() -> Path:
    """The folder with the extension's packages; npm installs them the first time."""
    scope = MODULES / "node_modules"
    if not all((scope / name.rpartition("@")[0]).exists() for name in PACKAGES):
        MODULES.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", *PACKAGES], cwd=MODULES, check=True)
    return MODULES


if __name__ == "__main__":
    main()
