"""Findings and runs for the tests of opportunities."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from shared.detectors.records import DetectorRun, Finding

FIRST_DAY = date(2026, 3, 2)
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def finding(day: int = 0, entity_id: str = "/pricing", **changes: Any) -> Finding:
    """A finding of the run of a day."""
    values: dict[str, Any] = {
        "run_id": f"run-{day}",
        "detector_id": "page_cvr_drop",
        "entity_type": "page",
        "entity_id": entity_id,
        "direction": "down",
        "tenant_id": "demo",
        "as_of": FIRST_DAY + timedelta(days=day),
        "opportunity_type": "page",
        "title": "Conversion rate fell",
        "confidence_score": 0.8,
        "severity": "high",
        "estimated_value": {"low": 80.0, "mid": 100.0, "high": 140.0, "currency": "USD", "formula": "a * b"},
        "recommendation": "Compare with the version before the drop",
        "evidence": {"day": day, "q_value": 0.01},
        "found_at": datetime(2026, 3, 3, 6, tzinfo=UTC) + timedelta(days=day),
        **changes,
    }
    return Finding.model_validate(values)


def run(day: int = 0, findings: int = 0, run_id: str | None = None, minute: int = 0, **changes: Any) -> DetectorRun:
    """The run of a day."""
    values: dict[str, Any] = {
        "run_id": run_id or f"run-{day}",
        "tenant_id": "demo",
        "as_of": FIRST_DAY + timedelta(days=day),
        "ran": ["page_cvr_drop", "page_traffic_drop"],
        "muted": {},
        "candidates": 10,
        "findings": findings,
        "statements": 1,
        "finished_at": datetime(2026, 3, 3, 6, minute, tzinfo=UTC) + timedelta(days=day),
        **changes,
    }
    return DetectorRun.model_validate(values)
