"""Reports are derived from the records that hold them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.local.sample import REPORTS as SERVED
from shared.detectors.catalogue import catalogue
from shared.schema.bigquery import columns
from shared.schema.record import Collection, Key
from shared.sources.records import GaPagePerformance, GaRow, GaTrafficSource
from shared.sources.reports import ERROR_TITLE, FUNNEL_EVENTS, REPORTS, Report, api_name
from shared.sources.source import Pull
from shared.tenants.records import SourceSettings

AT = datetime(2026, 1, 6, 4, tzinfo=UTC)
STAMP = {"tenant_id": "demo", "source": "ga4", "sync_run_id": "sync-1", "synced_at": AT}
"""What the sync adds to every document."""
PAGE = Report(GaPagePerformance)
ROOT = Path(__file__).parents[3]


def document(report: Report = PAGE, /, property_id: str = "properties/1", **changes: str) -> tuple[str, dict[str, Any]]:
    dimensions = {"date": "20260105", **{name: f"some {name}" for name in report.dimensions if name != "date"}}
    metrics = dict.fromkeys(report.metrics, "1")
    given = {name: value for name, value in changes.items() if name in report.dimensions}
    measured = {name: value for name, value in changes.items() if name in report.metrics}
    assert given.keys() | measured.keys() == changes.keys()
    return report.document(
        {**dimensions, **given},
        {**metrics, **measured},
        Pull("demo", "sync-1", AT.date(), SourceSettings(property_id=property_id)),
        sampled=False,
        thresholded=True,
        folded=False,
    )


class Word(GaRow):
    """One search word on one day."""

    word: Key[str]
    clicks: int
    cost: float

    collection = Collection("tenants/{tenant_id}/words")


def test_text_fields_are_dimensions_and_numbers_metrics():
    report = Report(Word)
    assert report.dimensions == ("date", "word")
    assert report.metrics == ("clicks", "cost")


def test_what_every_row_carries_is_not_asked_for():
    for report in REPORTS:
        asked = {*report.dimensions, *report.metrics}
        assert not asked & (GaRow.model_fields.keys() - {"date"})
        assert report.dimensions[0] == "date"


def test_each_report_asks_what_the_data_api_can_answer_in_one_request():
    for report in REPORTS:
        assert len(report.dimensions) <= 9
        assert len(report.metrics) <= 10


def test_local_server_serves_the_same_reports():
    def of(report: Report) -> tuple[set[str], set[str]]:
        filtered = {report.only.field} if report.only and not report.only.at_least else set()
        return set(map(api_name, {*report.dimensions, *filtered})), set(map(api_name, report.metrics))

    asked = {report.collection.name: of(report) for report in REPORTS}
    assert asked == {name: (set(report.dimensions), set(report.metrics)) for name, report in SERVED.items()}


def test_a_floor_is_under_a_metric_of_the_report():
    for report in REPORTS:
        if report.only is not None and report.only.at_least:
            assert report.only.field in report.metrics


def test_titles_of_error_pages_are_those_that_the_detector_knows():
    [detector] = [each for each in catalogue() if each.id == "lp_404_entrances"]
    assert f"'{ERROR_TITLE}'" in detector.effect


def test_steps_of_the_funnel_are_those_that_are_asked_for_by_device():
    sql = (ROOT / "shared/analytics/sql/web/funnel_step.sql").read_text()
    assert {name for name in FUNNEL_EVENTS if f"'{name}'" in sql} == set(FUNNEL_EVENTS)


def test_field_that_older_documents_lack_is_asked_for_by_its_type():
    assert PAGE.fields["user_engagement_duration"] is int


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("page_path", "pagePath"),
        ("sessions", "sessions"),
        ("session_default_channel_group", "sessionDefaultChannelGroup"),
        ("date", "date"),
    ],
)
def test_fields_are_spelled_as_the_data_api_does(field: str, name: str):
    assert api_name(field) == name


def test_document_is_a_valid_row_of_its_record():
    for report in REPORTS:
        _, fields = document(report)
        row = report.record.model_validate({**fields, **STAMP})
        assert {column.name for column in columns(report.record)} == {*fields, *STAMP, "schema_version"}
        assert (str(row.date), row.property_id, row.sampled, row.thresholded) == (
            "2026-01-05",
            "properties/1",
            False,
            True,
        )


def test_counts_are_whole_numbers_and_money_is_not():
    _, fields = document(sessions="12", purchase_revenue="12")
    assert isinstance(fields["sessions"], int)
    assert isinstance(fields["purchase_revenue"], float)


@pytest.mark.parametrize("text", ["", "n/a", "12,5", "0x1f"])
def test_number_that_does_not_parse_is_kept_as_it_came(text: str):
    _, fields = document(sessions=text, purchase_revenue=text)
    assert (fields["sessions"], fields["purchase_revenue"]) == (text, text)


def test_day_that_is_none_is_kept_as_it_came():
    name, fields = document(date="(other)")
    assert fields["date"] == "(other)"
    assert name.startswith("(other)-")


def test_same_row_has_the_same_id_whatever_it_measured_and_whenever_it_was_read():
    assert document()[0] == document(sessions="99")[0]


def test_ids_do_not_change_between_releases():
    # A new id for an old row would double the history of every tenant.
    assert document(page_path="/a")[0] == "2026-01-05-f8f6c1a478770fee94d8ae17"


def test_rows_of_other_days_pages_or_properties_have_other_ids():
    ids = [
        document(page_path="/a")[0],
        document(page_path="/b")[0],
        document(page_path="/A")[0],
        document(page_path="")[0],
        document(page_path="/a", date="20260106")[0],
        document(page_path="/a", property_id="properties/2")[0],
    ]
    assert len(set(ids)) == len(ids)


def test_values_that_run_into_each_other_are_still_other_rows():
    report = Report(GaTrafficSource)
    one = document(report, session_source="a", session_medium="bc")
    two = document(report, session_source="ab", session_medium="c")
    assert one[0] != two[0]


@pytest.mark.parametrize("path", ["/a/b", "../x", "__id__", "ä" * 2000, "."])
def test_id_is_one_that_firestore_takes_whatever_the_page_is_called(path: str):
    name, fields = document(page_path=path)
    assert "/" not in name
    assert name not in (".", "..")
    assert not name.startswith("__")
    assert len(name.encode()) < 1500
    assert fields["page_path"] == path


def test_record_without_a_collection_is_no_report():
    with pytest.raises(TypeError, match="GaRow declares no collection"):
        _ = Report(GaRow).collection
