"""What the dashboard asks of the world; the clients of a function have all of it."""

from collections.abc import Callable
from typing import Any, Protocol

from shared.ops.progress import ProgressBook
from shared.schema.ports import Cache, Documents, Warehouse
from shared.sources.messages import CheckAsked, SyncAsked
from shared.tenants.fan_out import Asked
from shared.tenants.service import Tenants

Values = dict[str, Any]


class LiveDocuments(Documents, Protocol):
    """Documents that can be listened to."""

    def listen(self, collection: str, heard: Callable[[str, str, Values], None]) -> Callable[[], None]:
        """Call `heard(change, document_id, fields)` for each change, first for all that is; returns what ends it."""
        ...


class Viewer(Protocol):
    """Somebody whose token verified."""

    @property
    def subject(self) -> str:
        """Who."""
        ...

    @property
    def tenant_id(self) -> str | None:
        """The tenant of the token."""
        ...

    @property
    def operator(self) -> bool:
        """True for those who may look at any tenant."""
        ...

    def tenant(self, named: str | None) -> str:
        """The tenant named, where this caller may see it; Forbidden otherwise."""
        ...


class Verifies(Protocol):
    """Verifies tokens."""

    def verify_token(self, token: str) -> Viewer:
        """Who holds the token; Unauthenticated says what is wrong with it."""
        ...


class Syncs(Protocol):
    """Asks for syncs."""

    def ask(self, asked: SyncAsked, requested_by: str) -> Asked:
        """Ask for one; BadRequest where the tenant has no such source."""
        ...


class Checks(Protocol):
    """Asks for tests of connections."""

    def ask(self, asked: CheckAsked, requested_by: str) -> str:
        """Ask for one; its run. BadRequest where the tenant has no such source."""
        ...


class Needs(Protocol):
    """Everything together; each is opened on first use."""

    @property
    def documents(self) -> LiveDocuments:
        """The tenants' data."""
        ...

    @property
    def ops(self) -> Documents:
        """Scout's own state."""
        ...

    @property
    def warehouse(self) -> Warehouse:
        """BigQuery."""
        ...

    @property
    def cache(self) -> Cache:
        """Cached answers."""
        ...

    @property
    def progress(self) -> ProgressBook:
        """Progress of runs."""
        ...

    @property
    def tenants(self) -> Tenants:
        """The tenants and their settings."""
        ...

    @property
    def sync(self) -> Syncs:
        """Asks for syncs."""
        ...

    @property
    def checks(self) -> Checks:
        """Asks for tests of connections."""
        ...

    @property
    def verifier(self) -> Verifies:
        """Who holds a token."""
        ...
