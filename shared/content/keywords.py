"""Tracked keywords: the one way to read and write them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import partial
from typing import Annotated, NamedTuple, Protocol

from pydantic import BaseModel, Strict, StrictFloat, StrictInt, ValidationError

from shared.content.records import SerpCheck
from shared.schema.ports import Documents, Values

CHECKS_KEPT = 90


class _Checks(BaseModel):
    """What a keyword's document holds of its checks."""

    serp_history: list[SerpCheck] | None = None
    best_ranking: StrictInt | StrictFloat | None = None
    last_checked: Annotated[datetime, Strict()] | None = None


@dataclass(frozen=True)
class Observation:
    """Where the tenant stood for one search on one day; `position` may lie between two places."""

    keyword: str
    day: date
    position: float
    url: str


class Observed(NamedTuple):
    """How many keywords an observation changed, and how many are of another shape and were left as they are."""

    changed: int
    malformed: int


class KeywordStore(Protocol):
    """The tracked keywords of tenants, wherever they are kept."""

    def tracked(self, tenant_id: str) -> list[str]:
        """The keywords that the tenant tracks, spelled as searches are."""
        ...

    def observe(self, tenant_id: str, observations: Iterable[Observation]) -> Observed:
        """Write what was seen of tracked keywords, and nothing of others.

        Order and repeats do not matter: checks are kept by day, and the newest day alone tells the current ranking.
        """
        ...


class DocumentKeywords:
    """Keywords as documents (port `KeywordStore`)."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def tracked(self, tenant_id: str) -> list[str]:
        """The keywords that the tenant tracks, spelled as searches are."""
        return sorted({spelled(fields["keyword"]) for _, fields in self._find(tenant_id)})

    def observe(self, tenant_id: str, observations: Iterable[Observation]) -> Observed:
        """Write what was seen of tracked keywords; each in a transaction, so that nobody else's change is lost.

        A document of another shape is left as it is: the stream refuses it where people see it.
        """
        seen = defaultdict(list)
        for one in observations:
            seen[spelled(one.keyword)].append(one)
        changed = malformed = 0
        for path, fields in list(self._find(tenant_id)):
            if _read(fields) is None:
                malformed += 1
            elif checked(fields, seen.get(spelled(fields["keyword"]), [])) is not None:
                own = seen[spelled(fields["keyword"])]
                changed += self._documents.transact(path, partial(_with, own)) is not None
        return Observed(changed, malformed)

    def _find(self, tenant_id: str) -> Iterable[tuple[str, Values]]:
        found = self._documents.find(f"tenants/{tenant_id}/keywords")
        return (item for item in found if isinstance(item[1].get("keyword"), str))


def spelled(keyword: str) -> str:
    """A keyword as Search Console spells searches: small letters, single spaces."""
    return " ".join(keyword.lower().split())


def checked(fields: Values, observations: Sequence[Observation]) -> Values | None:
    """The fields of a keyword that observations change, with their new values; None where they change nothing."""
    before = _read(fields)
    if before is None or not observations:
        return None
    seen = {one.day: SerpCheck(date=one.day, position=round(one.position, 2), url=one.url) for one in observations}
    history = sorted(
        ({check.date: check for check in before.serp_history or ()} | seen).values(), key=lambda check: check.date
    )
    places, last = [place(one.position) for one in observations], max(observations, key=lambda one: one.day)
    found: Values = {
        "serp_history": [check.model_dump(mode="json") for check in history[-CHECKS_KEPT:]],
        "best_ranking": min(places if before.best_ranking is None else [*places, before.best_ranking]),
    }
    if before.last_checked is None or before.last_checked.date() <= last.day:
        found["current_ranking"] = place(last.position)
        found["last_checked"] = datetime.combine(last.day, time(), UTC)
    changes = {name: value for name, value in found.items() if fields.get(name) != value}
    return changes or None


def _read(fields: Values) -> _Checks | None:
    """What is known of a keyword's checks, or None of a document of another shape."""
    try:
        return _Checks.model_validate(fields)
    except ValidationError:
        return None


def place(position: float) -> int:
    """The place that a mean position comes nearest to, from 1 on."""
    return max(1, int(position + 0.5))


def _with(observations: Sequence[Observation], found: Values | None) -> Values | None:
    """The whole document with what observations change; None where it is gone meanwhile, or says so already."""
    changes = checked(found, observations) if found is not None else None
    return None if found is None or changes is None else {**found, **changes}
