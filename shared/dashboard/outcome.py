"""Whether acting on an opportunity paid, in words and figures."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.dashboard.evidence import day, figure
from shared.opportunities.outcomes import SETTLING_DAYS, WINDOW_DAYS

NAMES = {
    "conversions / sessions": ("conversion rate", "rate"),
    "engaged_sessions / sessions": ("engagement rate", "rate"),
    "cost / conversions": ("cost per conversion", "money"),
}
"""A metric of two columns in words, and how its figures read."""
HEADLINES = {"paid": "It paid", "did_not_pay": "It did not pay", "unclear": "Unclear"}

Values = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """What the panel says; `gained` is an amount of money a month, or None with the reason."""

    headline: str
    said: str
    verdict: str = ""
    rows: tuple[tuple[str, str], ...] = ()
    gained: float | None = None
    gained_reason: str = ""
    currency: str | None = None


def tell(stored: Values) -> Told | None:
    """The outcome of a stored opportunity; when it will be known; None where nothing was completed."""
    outcome = stored.get("outcome")
    if isinstance(outcome, dict):
        return _told(outcome)
    completed_at = stored.get("completed_at")
    if stored.get("status") != "completed" or not isinstance(completed_at, datetime):
        return None
    due = completed_at.astimezone(UTC).date() + timedelta(days=WINDOW_DAYS + SETTLING_DAYS)
    return Told("Not known yet", f"Measured by the first run whose figures reach {day(due)}.")


def percent(share: float) -> str:
    """`+12 %`, with a decimal below ten."""
    amount = f"{abs(share) * 100:.0f}" if abs(share) >= 0.0995 else f"{abs(share) * 100:.1f}"
    return f"{'−' if share < 0 else '+'}{amount} %"  # noqa: RUF001


def _told(outcome: Values) -> Told:
    verdict = outcome.get("verdict")
    if verdict not in HEADLINES:
        return Told("It cannot be said", outcome.get("reason") or "")
    stored = str(outcome.get("metric") or "its metric")
    metric, unit = NAMES.get(stored, (stored, "count"))
    peers = int(outcome.get("peers") or 0)
    others = f"{peers} peers" if outcome.get("compared_with") == "peers" else "all others of its kind"
    effect, low, high = (float(outcome.get(name) or 0.0) for name in ("effect", "effect_low", "effect_high"))
    said = {
        "paid": f"{metric.capitalize()}: {percent(effect)} beyond what {others} did meanwhile.",
        "did_not_pay": f"{metric.capitalize()}: {percent(effect)} beyond what {others} did meanwhile.",
        "unclear": f"{metric.capitalize()}: {percent(effect)} beyond what {others} did meanwhile, which may be chance.",
    }[verdict]
    rows = (
        ("28 days before", figure(unit, outcome.get("before"))),
        ("28 days after", figure(unit, outcome.get("after"))),
        (f"{others.capitalize()} meanwhile", percent(float(outcome.get("peers_change") or 0.0))),
        ("90 % interval", f"{percent(low)} to {percent(high)}"),
    )
    gained = outcome.get("gained_value")
    return Told(
        HEADLINES[verdict],
        said,
        verdict,
        rows,
        gained if isinstance(gained, int | float) else None,
        outcome.get("gained_reason") or "",
        outcome.get("currency"),
    )
