"""Taking webhooks: what one says is looked up at its vendor, and the newer stays.

Vendors deliver at least once, out of order, and whoever knows the address can post to it. So a delivery must be signed,
and tells only which object to fetch: fetched twice it is the same, and an old notice that comes late brings what is so
now. A crash before the answer makes the vendor deliver again.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from shared.errors import BadRequest, CredentialsRefused, Unauthenticated, UnknownTenant
from shared.schema.ports import Documents, Secrets
from shared.sources.catalogue import SOURCES
from shared.sources.source import Source
from shared.sources.states import SourceStates
from shared.sources.sync import Sync, kind_of, stamped
from shared.sources.webhook import Change, Delivery, WebhookSource
from shared.tenants.records import SourceSettings

NOBODY = "nobody takes webhooks at this address"


class Webhooks:
    """Webhooks of all sources and tenants."""

    def __init__(
        self,
        sources: Mapping[str, Callable[[str], Source]],
        sync: Sync,
        documents: Documents,
        ops: Documents,
        secrets: Secrets,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._sources = sources
        self._sync = sync
        self._documents = documents
        self._states = SourceStates(ops)
        self._secrets = secrets
        self._now = now

    def receive(self, tenant_id: str, source: str, delivery: Delivery) -> dict[str, int]:
        """Fetch what a delivery tells of; documents written, left as they were, deleted.

        BadRequest where there is no such source, Unauthenticated where the delivery is not signed with the tenant's
        secret (or there is no such tenant: strangers learn no names), else what the source raises.
        """
        if not kind_of(source).webhook:
            known = ", ".join(sorted(name for name, kind in SOURCES.items() if kind.webhook))
            raise BadRequest("there is no such webhook", errors=[{"field": "source", "expected": f"one of: {known}"}])
        settings = self._settings(tenant_id, source)
        vendor = cast(WebhookSource, self._sources[source](tenant_id))
        notices = vendor.notices(delivery, self._secret(tenant_id, source), self._now())
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
            for change in changes:
                counts[self._apply(change, tenant_id, stamped(tenant_id, source, run_id, asked_at))] += 1
        return counts

    def _apply(self, change: Change, tenant_id: str, stamp: dict[str, Any]) -> str:
        path = f"{change.feed.collection.at(tenant_id=tenant_id)}/{change.document_id}"
        if change.fields is None:
            gone = self._documents.delete_older(path, "synced_at", stamp["synced_at"])
            return "deleted" if gone else "unchanged"
        document = {**change.fields, **stamp}
        kept = self._documents.put_newer([(path, document)], "synced_at", ("sync_run_id", "synced_at"))
        return "unchanged" if kept else "written"

    def _settings(self, tenant_id: str, source: str) -> SourceSettings:
        try:
            return self._sync.settings(tenant_id, source)
        except (BadRequest, UnknownTenant) as error:
            raise Unauthenticated(NOBODY, expected="an address and a secret that were agreed on") from error

    def _secret(self, tenant_id: str, source: str) -> str:
        try:
            return self._secrets.get(tenant_id, f"{source}_webhook")
        except CredentialsRefused as error:
            raise Unauthenticated(NOBODY, expected="an address and a secret that were agreed on") from error
