"""Messages of caches."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from shared.schema.message import Message
from shared.schema.names import TenantId


class CacheInvalidationRequested(Message):
    """Forget a scope (`aso_opportunities:demo`), the keys of a pattern (`aso_opportunities:demo:list:*`), or both."""

    topic: ClassVar[str] = "cache-invalidation-requested"

    tenant_id: TenantId | None = None
    scope: str | None = Field(None, min_length=1, max_length=300, pattern=r"^[^\s*?\[\]\\]+$")
    pattern: str | None = Field(None, min_length=1, max_length=300, pattern=r"^\S+$")

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.scope is None and self.pattern is None:
            raise ValueError("scope or pattern is needed")
        return self
