"""How often acting on what a detector found has paid, from the opportunities themselves."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from shared.opportunities.records import DetectorHitRate
from shared.schema.ports import Documents

VERDICTS = ("paid", "did_not_pay", "unclear")

Values = dict[str, Any]


def hit_rates(tenant_id: str, stored: Iterable[Values], now: datetime) -> list[DetectorHitRate]:
    """One per detector of which something was completed. What is open again counts by its last completion."""
    completed: dict[str, list[Values]] = {}
    for values in stored:
        if values.get("completed_at") is not None and isinstance(values.get("detector_id"), str):
            completed.setdefault(values["detector_id"], []).append(values)
    return [_of(tenant_id, detector_id, completed[detector_id], now) for detector_id in sorted(completed)]


def store(documents: Documents, tenant_id: str, found: Iterable[DetectorHitRate]) -> int:
    """Write those that changed; their number."""
    written = 0
    for one in found:
        document = one.document()

        def change(stored: Values | None, document: Values = document) -> Values | None:
            same = stored is not None and {**stored, "updated_at": None} == {**document, "updated_at": None}
            return None if same else document

        path = f"tenants/{tenant_id}/detector_hit_rates/{one.detector_id}"
        written += documents.transact(path, change) is not None
    return written


def _of(tenant_id: str, detector_id: str, completed: list[Values], now: datetime) -> DetectorHitRate:
    outcomes = [outcome for values in completed if isinstance(outcome := values.get("outcome"), dict)]
    count = {verdict: sum(outcome.get("verdict") == verdict for outcome in outcomes) for verdict in VERDICTS}
    measured = sum(count.values())
    gains = [outcome["gained_value"] for outcome in outcomes if isinstance(outcome.get("gained_value"), int | float)]
    currencies = {outcome.get("currency") for outcome in outcomes if outcome.get("gained_value") is not None}
    alike = len(currencies) == 1
    return DetectorHitRate(
        detector_id=detector_id,
        tenant_id=tenant_id,
        completed=len(completed),
        measured=measured,
        paid=count["paid"],
        did_not_pay=count["did_not_pay"],
        unclear=count["unclear"],
        hit_rate=round(count["paid"] / measured, 4) if measured else None,
        # Money of two currencies has no sum.
        gained_value=round(sum(gains), 2) if alike else None,
        currency=currencies.pop() if alike else None,
        updated_at=now,
    )
