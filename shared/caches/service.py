"""Forgetting cached answers on request. Changes of documents forget theirs by themselves (stream_document)."""

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from shared.caches.messages import CacheInvalidationRequested
from shared.errors import Forbidden
from shared.schema.ports import Cache
from shared.schema.record import PLACEHOLDER, Namespace
from shared.schema.registry import records

SPECIAL = re.compile(r"[*?\[\\]")


def namespaces() -> tuple[Namespace, ...]:
    """Every namespace that a declared record has."""
    return tuple({space.key: space for record in records() for space in record.caches}.values())


class Invalidation:
    """Forgets scopes and sweeps patterns, for a tenant only its own."""

    def __init__(
        self, cache: Cache, tenants: Callable[[], Iterable[str]], spaces: tuple[Namespace, ...] | None = None
    ) -> None:
        self._cache = cache
        self._tenants = tenants
        self._spaces = namespaces() if spaces is None else spaces

    def run(self, request: CacheInvalidationRequested, operator: bool) -> dict[str, int]:
        """Forget what is asked for; how many scopes held something, and how many keys are gone.

        A pattern's scopes are forgotten first: what a slow reader still writes afterwards is never believed.
        Forbidden where a tenant names what is not its own. A repeat finds nothing left to forget.
        """
        if not operator:
            self._only_own(request)
        scopes = {request.scope} if request.scope else set()
        if request.pattern:
            scopes |= self._covered(request.pattern)
        return {
            "scopes": self._cache.forget(sorted(scopes)),
            "keys": self._cache.sweep(request.pattern) if request.pattern else 0,
        }

    def _only_own(self, request: CacheInvalidationRequested) -> None:
        own = [
            space.scope(tenant_id=request.tenant_id or "")
            for space in self._spaces
            if PLACEHOLDER.findall(space.key) == ["tenant_id"]
        ]
        named = (("scope", request.scope or ""), ("pattern", SPECIAL.split(request.pattern or "", maxsplit=1)[0]))
        for field, value in named:
            if not getattr(request, field):
                continue
            whole = value == getattr(request, field)
            if not any((whole and value == scope) or value.startswith(f"{scope}:") for scope in own):
                raise Forbidden(
                    "only scopes of your own may be forgotten",
                    errors=[{"field": field, "expected": "begins with one of " + ", ".join(own)}],
                )

    def _covered(self, pattern: str) -> set[str]:
        """The scopes that may hold keys of a pattern."""
        literal = SPECIAL.split(pattern, maxsplit=1)[0]
        found = set()
        for space in self._spaces:
            # A pattern inside one scope: `aso_content:demo:list:*`.
            shape = PLACEHOLDER.sub("PLACE", space.key)
            covering = re.match(re.escape(shape).replace("PLACE", "[^:]+") + "(?=:|$)", literal)
            if covering and (covering.end() < len(literal) or literal == pattern):
                found.add(covering.group())
            elif PLACEHOLDER.findall(space.key) == ["tenant_id"]:
                # A pattern over many scopes: `aso_content:*`.
                scopes = (space.scope(tenant_id=tenant_id) for tenant_id in self._tenants())
                found |= {scope for scope in scopes if fnmatchcase(f"{scope}:", pattern)}
        return found
