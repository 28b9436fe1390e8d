"""Taking webhooks: what one says is looked up at its vendor, and the newer stays.

Vendors deliver at least once, out of order, and whoever knows the address can post to it. So a delivery must be signed,
and tells only which object to fetch: fetched twice it is the same, and an old notice that comes late brings what is so
now. A crash before the answer makes the vendor deliver again.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from shared.errors import BadRequest, CredentialsRefused, Rejected, Unauthenticated
from shared.schema.names import TENANT
from shared.schema.ports import Documents, Secrets
from shared.sources.catalogue import SOURCES
from shared.sources.deadline import ANSWER_SECONDS, within
from shared.sources.raw import SAME_BUT_FOR
from shared.sources.source import Source
from shared.sources.states import SourceStates
from shared.sources.sync import Sync, stamped
from shared.sources.webhook import Change, Delivery, Notice, WebhookSource, stranger
from shared.tenants.records import SourceSettings

REMEMBER_SECONDS = 60.0
RENEW_SECONDS = 5.0
"""A secret that does not fit may have been replaced: it is asked for again, but not for each forged delivery."""


@dataclass(frozen=True)
class Agreement:
    """What a tenant's webhook goes by, as it was at `asked_at`, in seconds of the clock; no secret: none is taken."""

    settings: SourceSettings
    secret: str
    asked_at: float


class Webhooks:
    """Webhooks of all sources and tenants. clock: in seconds, for what is remembered."""

    def __init__(
        self,
        sources: Mapping[str, Callable[[str], Source]],
        sync: Sync,
        documents: Documents,
        ops: Documents,
        secrets: Secrets,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources = sources
        self._sync = sync
        self._clock = clock
        self._agreements: dict[tuple[str, str], Agreement] = {}
        self._documents = documents
        self._states = SourceStates(ops)
        self._secrets = secrets
        self._now = now

    @within(ANSWER_SECONDS)
    def receive(self, tenant_id: str, source: str, delivery: Delivery) -> dict[str, int]:
        """Fetch what a delivery tells of; documents written, left as they were, deleted.

        BadRequest where no such source sends webhooks, Unauthenticated where the delivery does not carry the tenant's
        secret (or there is no such tenant: strangers learn no names), else what the source raises.
        """
        known = sorted(name for name, kind in SOURCES.items() if kind.webhook)
        if source not in known:
            errors = [{"field": "source", "expected": f"one of: {', '.join(known)}"}]
            raise BadRequest("there is no such webhook", errors=errors)
        if not TENANT.fullmatch(tenant_id):
            raise stranger()
        settings, notices = self._notices(tenant_id, source, delivery)
        vendor = self._vendor(tenant_id, source)
        counts = {"notices": len(notices), "written": 0, "unchanged": 0, "deleted": 0}
        for notice in notices:
            # Before it is fetched: whatever is written later was asked for later.
            asked_at = self._now()
            run_id = f"webhook-{notice.event_id}"[:100]
            pull = self._sync.pull(tenant_id, source, run_id, asked_at.date(), settings)
            try:
                changes = vendor.fetch(pull, notice)
            except CredentialsRefused as error:
                self._states.failed(tenant_id, source, error)
                raise
            # Looked up before what is there: pages that are written by now are seen there.
            but_for = () if self._sync.is_running(tenant_id, source) else SAME_BUT_FOR
            for change in changes:
                counts[self._apply(change, tenant_id, stamped(tenant_id, source, run_id, asked_at), but_for)] += 1
        return counts

    def _apply(self, change: Change, tenant_id: str, stamp: dict[str, Any], but_for: Collection[str]) -> str:
        """While pages are on their way also what did not change is written: they see that it was asked for later."""
        path = change.feed.at(tenant_id, change.document_id)
        if change.fields is None:
            gone = self._documents.delete_older(path, "synced_at", stamp["synced_at"])
            return "deleted" if gone else "unchanged"
        document = {**change.fields, **stamp}
        kept = self._documents.put_newer([(path, document)], "synced_at", but_for)
        return "unchanged" if kept else "written"

    def _vendor(self, tenant_id: str, source: str) -> WebhookSource:
        return cast(WebhookSource, self._sources[source](tenant_id))

    def _notices(self, tenant_id: str, source: str, delivery: Delivery) -> tuple[SourceSettings, Sequence[Notice]]:
        """What a delivery that carries the tenant's secret tells, and how to reach its source."""
        agreed = self._agreement(tenant_id, source, REMEMBER_SECONDS)
        try:
            return agreed.settings, self._read(tenant_id, source, delivery, agreed.secret)
        except Unauthenticated:
            renewed = self._agreement(tenant_id, source, RENEW_SECONDS)
            if renewed is agreed:
                raise
        return renewed.settings, self._read(tenant_id, source, delivery, renewed.secret)

    def _read(self, tenant_id: str, source: str, delivery: Delivery, secret: str) -> Sequence[Notice]:
        if not secret:
            # What is signed with nothing is signed by anybody.
            raise stranger()
        return self._vendor(tenant_id, source).notices(delivery, secret, self._now())

    def _agreement(self, tenant_id: str, source: str, seconds: float) -> Agreement:
        """What was agreed on, not longer ago than so many seconds."""
        known, now = self._agreements.get((tenant_id, source)), self._clock()
        if known is not None and now - known.asked_at < seconds:
            return known
        try:
            settings = self._sync.settings(tenant_id, source)
        except Rejected as error:
            self._agreements.pop((tenant_id, source), None)
            raise stranger() from error
        try:
            secret = self._secrets.get(tenant_id, f"{source}_webhook").strip()
        except CredentialsRefused:
            secret = ""
        self._agreements[tenant_id, source] = agreed = Agreement(settings, secret, now)
        return agreed
