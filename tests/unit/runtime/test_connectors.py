"""Connectors: one breaker for each source of each tenant, which only what asks the vendor moves."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from shared.adapters.stripe import StripeSource
from shared.errors import AppError, Unauthenticated, Unavailable
from shared.runtime.breaker import FAILURES, Breakers
from shared.runtime.connectors import connectors
from shared.settings import Settings
from shared.sources.catalogue import SOURCES
from shared.sources.source import Page, Pull
from shared.sources.webhook import Delivery, Notice
from shared.tenants.records import SourceSettings

NOTICE = Notice("evt_1", "charge.updated", "ch_1")
FORGED = Delivery(b"{}", {}, {})


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Stripe, which is away for these tenants."""
    away: set[str] = set()

    def ask(pull: Pull) -> None:
        if pull.tenant_id in away:
            raise Unavailable("Stripe is not available")

    def pages(self: StripeSource, feed: Any, pull: Pull, position: str) -> Any:
        ask(pull)
        yield Page([], None, None)

    monkeypatch.setattr(StripeSource, "pages", pages)
    monkeypatch.setattr(StripeSource, "check", lambda self, pull: ask(pull) or "account")
    monkeypatch.setattr(StripeSource, "fetch", lambda self, pull, notice: ask(pull) or [])
    return away


class Asker:
    """Asks the connected Stripe of a tenant."""

    def __init__(self) -> None:
        self.breakers = Breakers()
        at = Settings(GOOGLE_CLOUD_PROJECT="p", SCOUT_STRIPE_ENDPOINT="http://localhost:1")  # type: ignore[call-arg]
        self._stripe: Callable[[str], Any] = connectors(at, self.breakers)["stripe"]

    def ask(self, how: str, tenant_id: str) -> AppError | None:
        """Ask the vendor; the error that came of it."""
        source = self._stripe(tenant_id)
        pull = Pull(tenant_id, "run", date(2026, 1, 1), SourceSettings())
        asked: dict[str, Callable[[], Any]] = {
            "pages": lambda: list(source.pages(source.feeds[0], pull, "")),
            "check": lambda: source.check(pull),
            "fetch": lambda: source.fetch(pull, NOTICE),
        }
        try:
            asked[how]()
        except AppError as error:
            return error
        return None

    def forge(self, tenant_id: str) -> None:
        """Deliver what is not signed."""
        with pytest.raises(Unauthenticated):
            self._stripe(tenant_id).notices(FORGED, "whsec", datetime(2026, 1, 1, tzinfo=UTC))

    def left_alone(self, tenant_id: str) -> bool:
        """True where the vendor is not asked for this tenant."""
        error = self.ask("check", tenant_id)
        return error is not None and "left alone" in error.message


@pytest.fixture
def asker() -> Asker:
    return Asker()


def test_every_source_is_connected():
    at = Settings(GOOGLE_CLOUD_PROJECT="p")  # type: ignore[call-arg]
    assert set(connectors(at, Breakers())) == set(SOURCES)


@pytest.mark.parametrize("how", ["pages", "check", "fetch"])
def test_a_vendor_that_fails_one_tenant_is_asked_by_others(asker: Asker, failing: set[str], how: str):
    failing.add("broken")
    for _ in range(FAILURES):
        asker.ask(how, "broken")
    assert asker.left_alone("broken")
    assert asker.ask(how, "well") is None


def test_deliveries_between_failures_do_not_make_a_vendor_well(asker: Asker, failing: set[str]):
    failing.add("demo")
    for _ in range(FAILURES):
        asker.forge("demo")
        asker.ask("fetch", "demo")
    assert asker.left_alone("demo")


def test_a_forged_delivery_is_no_probe(asker: Asker, failing: set[str], monkeypatch: pytest.MonkeyPatch):
    failing.add("demo")
    for _ in range(FAILURES):
        asker.ask("fetch", "demo")
    breaker = asker.breakers["stripe:demo"]
    breaker._open_until = 0.0  # its pause is over
    asker.forge("demo")
    assert breaker.is_open
    assert asker.ask("fetch", "demo") is not None
    assert asker.left_alone("demo")
