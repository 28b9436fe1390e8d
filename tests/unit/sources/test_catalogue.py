"""What docs/sources.md says of each source, held against the declarations."""

import re
from pathlib import Path
from typing import Any

import yaml

from shared.adapters.environment_secrets import EnvironmentSecrets
from shared.sources.catalogue import SOURCES
from shared.sources.reports import REPORTS

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "sources.md").read_text()


def table(first: str) -> dict[str, list[str]]:
    """The table whose heading begins so: the cells of each source."""
    [lines] = re.findall(rf"^\| {first}[^\n]*\n\| ---[^\n]*\n((?:\|[^\n]*\n)+)", DOCUMENT, re.M)
    found = {}
    for line in lines.splitlines():
        name, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
        found[name.strip("` ")] = cells
    return found


def test_each_source_is_told_with_its_settings_and_its_secret():
    rows = table(r"source \| settings")
    assert list(rows) == list(SOURCES)
    for name, kind in SOURCES.items():
        settings, secret = rows[name][:2]
        required = re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", settings))
        assert tuple(required) == kind.settings, name
        assert secret == (f"`scout-<tenant>-{name}`" if kind.credentials else "none"), name


def test_days_are_those_of_the_catalogue():
    rows = table(r"source \| collections")
    assert {name: cells[1:3] for name, cells in rows.items()} == {
        name: [str(kind.restated_days), str(kind.history_days)] for name, kind in SOURCES.items()
    }
    assert f"{len(REPORTS)} reports" in rows["ga4"][0]


def test_each_webhook_has_its_address_and_secret():
    rows = table(r"source \| address")
    assert list(rows) == [name for name, kind in SOURCES.items() if kind.webhook]
    for name, (address, secret) in rows.items():
        assert address.startswith(f"`/{name}/<tenant>")
        assert f"`scout-<tenant>-{name}_webhook`" in secret


def test_each_source_is_pulled_daily_at_five():
    declared: Any = yaml.safe_load((ROOT / "functions" / "sync_source" / "function.yaml").read_text())
    schedules = declared["trigger"]["schedules"]
    assert {each["body"]["source"] for each in schedules} == set(SOURCES)
    assert all(re.fullmatch(r"\d+ 5 \* \* \*", each["cron"]) for each in schedules)


def test_variable_of_a_secret_is_the_one_that_is_told():
    assert "`SCOUT_SECRET_DEMO_STRIPE`" in DOCUMENT
    assert EnvironmentSecrets({"SCOUT_SECRET_DEMO_STRIPE": "sk"}).get("demo", "stripe") == "sk"
