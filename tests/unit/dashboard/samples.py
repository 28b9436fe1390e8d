"""Opportunities for the tests of the dashboard."""

from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 3, 20, 6, tzinfo=UTC)

EVIDENCE: dict[str, Any] = {
    "windows": {
        "cur": {"first": "2026-03-09", "last": "2026-03-15", "days": 7, "days_with_data": 7},
        "base": {"first": "2026-02-09", "last": "2026-03-08", "days": 28, "days_with_data": 27},
    },
    "numbers": {
        "cur_sessions": 5412,
        "cur_cvr": 0.0171,
        "base_sessions": 23120,
        "base_cvr": 0.0312,
        "rest_cur_cvr": 0.02,
        "value_per_conversion": None,
    },
    "guard": "cur_sessions >= min_sessions",
    "thresholds": {"min_sessions": 200},
    "rates": {"cur_cvr": "cur_conversions / cur_sessions", "base_cvr": "base_conversions / base_sessions"},
    "test": {"name": "two_proportion_z", "p_value": 2.8e-9, "q_value": 0.0312, "statistic": -5.83, "tested": 614},
    "missing_days": ["2026-03-02"],
    "something_new": {"a_share": 0.5},
}


def opportunity(**changes: Any) -> dict[str, Any]:
    """A stored opportunity of tenant demo."""
    return {
        "opportunity_id": "a1",
        "tenant_id": "demo",
        "opportunity_type": "conversion_drop",
        "detector_id": "page_cvr_drop",
        "title": "Page conversion rate fell",
        "entity_type": "page",
        "entity_id": "/pricing",
        "direction": "down",
        "confidence_score": 0.8,
        "severity": "high",
        "estimated_value": {"low": 80.0, "mid": 100.0, "high": 140.0, "currency": "USD", "formula": "a * b"},
        "recommendation": "Compare with the state before",
        "evidence": EVIDENCE,
        "status": "new",
        "run_id": "run-1",
        "as_of": "2026-03-15",
        "detected_at": NOW,
        "updated_at": NOW,
        **changes,
    }
