from datetime import date

import pytest

from shared.dashboard.evidence import Window, figure, read, span, words
from tests.unit.dashboard.samples import EVIDENCE


def test_windows_are_read_in_time():
    assert [(window.name, window.days, window.with_data) for window in read(EVIDENCE).windows] == [
        ("Baseline", 28, 27),
        ("Current", 7, 7),
    ]


def test_figures_of_one_metric_stand_in_one_row():
    own, rest, other = read(EVIDENCE).tables
    assert own.heads == ("", "Baseline", "Current")
    assert own.rows == (("Sessions", "23,120", "5,412"), ("Conversion rate", "3.12 %", "1.71 %"))
    assert (rest.title, rest.heads, rest.rows) == (
        "The rest of the site",
        ("", "Current"),
        (("Conversion rate", "2.00 %"),),
    )
    assert (other.title, other.rows) == ("Something new", (("A share", "50.00 %"),))


def test_nothing_of_the_evidence_is_hidden():
    reading = read(EVIDENCE)
    assert dict(reading.facts) == {
        "Value per conversion": "not measured",
        "Test": "Two proportions (z)",
        "Statistic": "\u22125.83",
        "p-value": "below 0.0001",
        "q-value": "0.0312",
        "Entities tested": "614",
        "Missing days": "2 Mar 2026",
    }
    assert ("Enough volume", "cur_sessions >= min_sessions") in reading.rules
    assert ("min_sessions", "200") in reading.rules


@pytest.mark.parametrize("evidence", [{}, {"windows": 5, "numbers": [], "test": None}, {"windows": {"cur": {}}}])
def test_evidence_of_another_shape_is_read_as_far_as_it_goes(evidence):
    assert read(evidence).windows == ()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("cur_cvr", 0.0312, "3.12 %"),
        ("ratio", 0.97, "0.97"),
        ("tiny", 0.00012, "0.00012"),
        ("sessions", 1234567, "1,234,567"),
        ("sessions", 12.0, "12"),
        ("x", True, "yes"),
        ("x", None, "not measured"),
        ("x", ["2026-03-01", "2026-03-02"], "1 Mar 2026, 2 Mar 2026"),
        ("x", [], "none"),
    ],
)
def test_figures_in_words(name, value, said):
    assert figure(name, value) == said


def test_spans_repeat_no_more_than_needed():
    assert span(Window("cur", date(2026, 3, 2), date(2026, 3, 8))) == "2 \u2013 8 Mar 2026"
    assert span(Window("cur", date(2026, 2, 23), date(2026, 3, 8))) == "23 Feb \u2013 8 Mar 2026"
    assert span(Window("cur", date(2025, 12, 30), date(2026, 1, 5))) == "30 Dec 2025 \u2013 5 Jan 2026"


def test_names_in_words():
    assert words("base_sessions") == "Baseline sessions"
    assert words("session_share") == "Session share"
