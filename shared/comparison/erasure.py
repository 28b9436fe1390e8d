"""Erasing what comparisons noted: names of documents that differed."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from shared.comparison.records import Difference, Verification
from shared.erasure.places import Place
from shared.erasure.store import Needs, Stage, Store
from shared.erasure.subject import Kind, Subject

CURSORS = ("left_after", "right_after")


class Comparisons:
    """Differences and, of a tenant, the verifications. Differences go first: by the verification they are found."""

    name = "comparisons"
    stage = Stage.STATE

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    def covers(self, place: Place, kind: Kind) -> bool:
        return place.record is Difference or (place.record is Verification and kind == "document")

    def count(self, subject: Subject) -> Mapping[str, int]:
        counts = Counter("differences" for _ in self._differences(subject))
        counts.update("verifications" for _, values in self._about(subject) if _names(values, self._name(subject)))
        return counts

    def erase(self, subject: Subject) -> list[str]:
        ops, name = self._needs.ops(), self._name(subject)
        for path in list(self._differences(subject)):
            ops.delete(path)
        for path, values in list(self._about(subject)):
            if _names(values, name):
                ops.transact(path, lambda held: _without(held, name) if held else None)
        return []

    def _name(self, subject: Subject) -> str:
        return subject.full_name(self._needs.project)

    def _about(self, subject: Subject) -> Iterator[tuple[str, dict[str, Any]]]:
        """Verifications that may name the subject; a tenant's own are removed whole, with the rest of its state."""
        own = [("tenant_id", "==", subject.tenant_id)] if subject.tenant_id else []
        yield from self._needs.ops().find("verifications", where=own)

    def _differences(self, subject: Subject) -> Iterator[str]:
        ops, name = self._needs.ops(), self._name(subject)
        for path, _ in self._about(subject):
            collection = f"{path}/differences"
            if subject.kind == "tenant":
                yield from (found for found, _ in ops.find(collection))
            else:
                yield from (found for found, _ in ops.find(collection, where=[("key", "==", name)]))
                below = [("key", ">=", f"{name}/"), ("key", "<", f"{name}0")]  # 0 follows /
                yield from (found for found, _ in ops.find(collection, where=below))


def stores(needs: Needs) -> tuple[Store, ...]:
    """Comparisons."""
    return (Comparisons(needs),)


def _is(key: str, name: str) -> bool:
    return key == name or key.startswith(f"{name}/")


def _names(values: Mapping[str, Any], name: str) -> bool:
    """True where the verification itself names the document. One that is at work needs its cursors: a sweep comes."""
    suspects = [suspect["key"] for suspect in values.get("suspects", [])]
    return any(_is(key, name) for key in [*suspects, *(values.get(cursor, "") for cursor in CURSORS)])


def _without(values: dict[str, Any], name: str) -> dict[str, Any]:
    suspects = [suspect for suspect in values.get("suspects", []) if not _is(suspect["key"], name)]
    cursors = {each: "" for each in CURSORS if values["status"] == "done" and _is(values.get(each, ""), name)}
    return {**values, **cursors, "suspects": suspects}
