"""How each tenant's sources do, kept where the page and the CLI look."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from shared.errors import AppError, CredentialsRefused, Unavailable
from shared.ops.records import SourceState
from shared.schema.ports import Documents

State = Literal["connected", "refused", "failing"]


class SourceStates:
    """The states of tenants' sources. What is noted twice is the same; the later note stays."""

    def __init__(self, ops: Documents, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._ops = ops
        self._now = now

    def get(self, tenant_id: str, source: str) -> SourceState | None:
        """The state, or None of a source that nobody has asked yet."""
        found = self._ops.get(_path(tenant_id, source))
        return SourceState.model_validate(found) if found else None

    def all(self, tenant_id: str) -> list[SourceState]:
        """Of every source that was ever asked."""
        found = self._ops.find("source_states", where=[("tenant_id", "==", tenant_id)], order_by="source")
        return [SourceState.model_validate(values) for _, values in found]

    def answered(self, tenant_id: str, source: str, run_id: str = "", account: str = "", synced: bool = False) -> None:
        """It takes the credentials; synced: a sync of it has ended well."""
        changes: dict[str, Any] = {"account": account} if account else {}
        self._note(tenant_id, source, "connected", "", run_id, changes | ({"synced_at": self._now()} if synced else {}))

    def failed(self, tenant_id: str, source: str, error: AppError, run_id: str = "", again: bool = False) -> None:
        """It refused the credentials, or the request, or did not answer; again: its run is tried again by itself."""
        state: State = "refused" if isinstance(error, CredentialsRefused) else "failing"
        changes: dict[str, Any] = {"again": True} if again else {}
        seconds = error.fields.get("retry_after_seconds")
        if seconds is not None:
            changes["not_before"] = self._now() + timedelta(seconds=seconds)
        self._note(tenant_id, source, state, said(error), run_id, changes)

    def wait(self, tenant_id: str, source: str) -> None:
        """Unavailable before the time at which it said to come back."""
        state, now = self.get(tenant_id, source), self._now()
        if state is not None and state.not_before is not None and state.not_before > now:
            seconds = (state.not_before - now).total_seconds()
            raise Unavailable(
                f"the source is to be asked again at {state.not_before:%H:%M} UTC at the earliest, as it said",
                retry_after_seconds=seconds,
            )

    def _note(
        self, tenant_id: str, source: str, state: State, message: str, run_id: str, changes: dict[str, Any]
    ) -> None:
        at = self._now()

        def change(found: dict[str, Any] | None) -> dict[str, Any]:
            before = found or {}
            since = before["since"] if before.get("state") == state else at
            names = ["account", "synced_at"]
            if not run_id:
                # A test knows nothing of the run that is tried again.
                names += ["run_id", "again"]
            if state != "connected":
                # When it may be asked again: what fails meanwhile brings that no nearer.
                names += ["not_before"]
            kept = {name: before[name] for name in names if before.get(name)}
            told = {"run_id": run_id, **kept, **changes}
            if "not_before" in kept:
                told["not_before"] = max(kept["not_before"], told["not_before"])
            return SourceState.model_validate(
                {
                    "tenant_id": tenant_id,
                    "source": source,
                    "state": state,
                    "message": message,
                    "since": since,
                    "updated_at": at,
                    **told,
                }
            ).document()

        self._ops.transact(_path(tenant_id, source), change)


def said(error: AppError) -> str:
    """What an error says to people: its sentence, and what was expected where it tells."""
    expected = error.fields.get("expected")
    return f"{error.message}; expected {expected}" if expected else error.message


def _path(tenant_id: str, source: str) -> str:
    return f"source_states/{tenant_id}:{source}"
