"""Erasing cached answers. They can be made again, so all of the tenant's go, whatever document is erased."""

import re
from collections.abc import Mapping

from shared.caches.service import namespaces
from shared.erasure.places import Place
from shared.erasure.store import Needs, Stage, Store
from shared.erasure.subject import Kind, Subject
from shared.schema.record import PLACEHOLDER


class CachedAnswers:
    """The keys of every declared namespace: of the tenant, where it is the tenant's, of everybody where it is not."""

    name = "cache"
    stage = Stage.DERIVED

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    def covers(self, place: Place, kind: Kind) -> bool:
        return place.kind == "cache"

    def count(self, subject: Subject) -> Mapping[str, int]:
        cache = self._needs.cache()
        return {
            space.key: sum(cache.count(pattern) for pattern in _patterns(space.key, subject)) for space in namespaces()
        }

    def erase(self, subject: Subject) -> list[str]:
        cache = self._needs.cache()
        for space in namespaces():
            pattern, scopes = _patterns(space.key, subject), _scopes(space.key, subject)
            # Forgotten first: what a slow reader still writes afterwards is never believed.
            cache.forget(scopes)
            for each in pattern:
                cache.sweep(each)
        return []


def stores(needs: Needs) -> tuple[Store, ...]:
    """The cache."""
    return (CachedAnswers(needs),)


def _filled(key: str, subject: Subject) -> str:
    """The namespace with the tenant in it, and `*` for whatever else it has a place for."""
    known = {"tenant_id": subject.tenant_id} if subject.tenant_id else {}
    return PLACEHOLDER.sub(lambda found: _literal(known[found[1]]) if found[1] in known else "*", key)


def _patterns(key: str, subject: Subject) -> tuple[str, str]:
    """`aso_content:a` and `aso_content:a:*`: not `aso_content:a*`, which is another tenant's too."""
    scope = _filled(key, subject)
    return scope, f"{scope}:*"


def _scopes(key: str, subject: Subject) -> list[str]:
    scope = _filled(key, subject)
    return [] if "*" in scope else [scope]


def _literal(text: str) -> str:
    return re.sub(r"([*?\[\]\\])", r"[\1]", text)
