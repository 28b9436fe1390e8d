"""The pages as HTML."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from shared.dashboard import evidence, outcome
from shared.dashboard.cards import card
from shared.dashboard.needs import Viewer
from shared.errors import AppError
from shared.opportunities.records import EstimatedValue, Opportunity
from shared.tenants.records import Tenant

Values = dict[str, Any]

SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}


class Pages:
    """Renders templates; everything is escaped."""

    def __init__(self, folder: Path) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        self._environment.filters.update(
            money=money, span=evidence.span, words=evidence.words, moment=moment, date=day, percent=percent
        )

    def tenants(self, found: list[Values]) -> HTMLResponse:
        """An operator's choice of tenants."""
        tenants = sorted(({"name": "", **values} for values in found), key=lambda values: str(values["tenant_id"]))
        return self._render("tenants.html", tenants=tenants)

    def opportunities(self, tenant: Tenant, who: Viewer, hit_rates: list[Values]) -> HTMLResponse:
        """The list; its contents arrive as events."""
        return self._render("list.html", tenant=tenant, who=who, hit_rates=hit_rates)

    def opportunity(
        self, tenant: Tenant, who: Viewer, stored: Values, lead: Values | None = None, parts: Sequence[Values] = ()
    ) -> HTMLResponse:
        """One opportunity. `lead`: the one it is part of; `parts`: the opportunities that are part of it."""
        known = {(part.get("detector_id"), part.get("entity_type"), part.get("entity_id")): part for part in parts}
        history = stored.get("history")
        value = {**dict.fromkeys(EstimatedValue.model_fields), **(stored.get("estimated_value") or {})}
        return self._render(
            "detail.html",
            tenant=tenant,
            who=who,
            card=card(stored["opportunity_id"], stored),
            stored={**dict.fromkeys(Opportunity.model_fields), **stored},
            value=value,
            reading=evidence.read(stored.get("evidence") or {}),
            parts=[
                (part, known.get((part.detector_id, part.entity_type, part.entity_id)))
                for part in evidence.parts(stored.get("evidence") or {})
            ],
            lead=lead,
            told=outcome.tell(stored),
            history=[entry for entry in reversed(history) if isinstance(entry, dict)]
            if isinstance(history, list)
            else [],
            tomorrow=(datetime.now(UTC).date() + timedelta(days=1)).isoformat(),
        )

    def refused(self, error: AppError) -> HTMLResponse:
        """A sign-in page where no token verifies, otherwise what went wrong."""
        name = "sign_in.html" if error.status == 401 else "error.html"
        return self._render(name, status=error.status, error=error)

    def _render(self, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        html = self._environment.get_template(name).render(**values)
        return HTMLResponse(html, status, {"cache-control": "no-store"})


def money(amount: float | None, currency: str | None) -> str:
    """`$1,240`; below ten with cents."""
    if amount is None:
        return "\u2013"
    digits = 0 if abs(amount) >= 10 or float(amount).is_integer() else 2
    text = f"{abs(amount):,.{digits}f}"
    sign = "\u2212" if amount < 0 else ""
    symbol = SYMBOLS.get(currency or "")
    return f"{sign}{symbol}{text}" if symbol else f"{sign}{text} {currency or ''}".rstrip()


def percent(share: float | None) -> str:
    """`75 %`."""
    return "\u2013" if share is None else f"{share * 100:.0f} %"


def day(value: Any) -> str:
    """`2 Mar 2026`, of a time, a day or its ISO text."""
    if isinstance(value, str):
        value = date.fromisoformat(value[:10])
    return evidence.day(value) if isinstance(value, date) else "\u2013"


def moment(value: Any) -> str:
    """`2 Mar 2026, 06:00 UTC`."""
    if not isinstance(value, datetime):
        return "\u2013"
    return f"{value.day} {value:%b %Y, %H:%M} UTC"
