"""An opportunity as the list shows it, and the order of the list."""

from datetime import datetime
from typing import Any

from shared.dashboard.evidence import parts

SEVERITIES = ("critical", "high", "medium", "low")

Values = dict[str, Any]


def card(opportunity_id: str, stored: Values) -> Values:
    """What a browser is told of an opportunity. Documents written by others may lack fields: they show as empty."""
    value = stored.get("estimated_value") or {}
    confidence = float(stored.get("confidence_score") or 0.0)
    ranking, outcome = stored.get("ranking"), stored.get("outcome") or {}
    return {
        "id": opportunity_id,
        "title": stored.get("title") or stored.get("detector_id") or opportunity_id,
        "type": stored.get("opportunity_type") or "",
        "detector": stored.get("detector_id") or "",
        "entity_type": stored.get("entity_type") or "",
        "entity_id": stored.get("entity_id") or "",
        "direction": stored.get("direction") or "level",
        "severity": stored.get("severity") or "low",
        "confidence": round(confidence, 3),
        "value": {name: value.get(name) for name in ("low", "mid", "high", "currency", "reason")},
        "rank": round(ranking if isinstance(ranking, int | float) else float(value.get("mid") or 0.0) * confidence, 4),
        "part_of": stored.get("part_of"),
        "parts": [{"title": part.title, "entity_id": part.entity_id} for part in parts(stored.get("evidence") or {})],
        "recommendation": stored.get("recommendation") or "",
        "status": stored.get("status") or "new",
        "note": stored.get("note"),
        "snoozed_until": stored.get("snoozed_until"),
        "completed_at": _time(stored.get("completed_at")),
        "verdict": outcome.get("verdict"),
        "detected_at": _time(stored.get("detected_at")),
        "updated_at": _time(stored.get("updated_at")),
        "decided_at": _time(stored.get("decided_at")),
        "as_of": stored.get("as_of"),
    }


def ranked(cards: list[Values]) -> list[Values]:
    """By `ranking` (value x confidence); where no value is claimed, by severity and confidence."""
    return sorted(cards, key=lambda one: (-one["rank"], _severity(one), -one["confidence"], one["id"]))


def _severity(one: Values) -> int:
    return SEVERITIES.index(one["severity"]) if one["severity"] in SEVERITIES else len(SEVERITIES)


def _time(value: Any) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else None
