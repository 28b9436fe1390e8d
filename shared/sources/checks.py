"""Testing connections when somebody asks for it: the page publishes, and whoever may read the credentials tests.

What the source answers is noted as its state, and the run ends with it, well or not: a refusal is an answer, and asking
again by itself would be a storm. A repeat of the message tests once more, which is harmless.
"""

import secrets

from shared.errors import AppError
from shared.ops.progress import ProgressBook
from shared.schema.ports import Publisher
from shared.sources.messages import CheckAsked, CheckRequested
from shared.sources.sync import Sync


class Checks:
    """Tests of connections."""

    def __init__(self, sync: Sync, progress: ProgressBook, publisher: Publisher) -> None:
        self._sync = sync
        self._progress = progress
        self._publisher = publisher

    def ask(self, asked: CheckAsked, requested_by: str) -> str:
        """Ask for a test; its run. BadRequest where the tenant has no such source, or its settings lack something."""
        self._sync.settings(asked.tenant_id, asked.source)
        run_id = f"check-{asked.source}-{asked.tenant_id}-{secrets.token_hex(4)}"
        self._progress.request(run_id, "check", asked.tenant_id, requested_by)
        self._publisher.publish(CheckRequested(tenant_id=asked.tenant_id, source=asked.source, run_id=run_id))
        return run_id

    def run(self, request: CheckRequested) -> dict[str, str]:
        """Test, whatever comes of it."""
        try:
            with self._progress.track(request.run_id, "check", request.tenant_id):
                account = self._sync.check(request.tenant_id, request.source)
        except AppError as error:
            return {"source": request.source, "state": "not connected", "reason": error.reason}
        return {"source": request.source, "state": "connected", "account": account}
