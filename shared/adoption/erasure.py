"""Erasing notes of what was adopted for one tenant. The logs themselves are erased with the other rows."""

from collections.abc import Mapping

from shared.adoption.records import Adoption
from shared.erasure.places import Place
from shared.erasure.store import Needs, Stage, Store
from shared.erasure.subject import Kind, Subject


class Adoptions:
    """Adoptions of a tenant's own collections, or of logs in its own dataset."""

    name = "adoptions"
    stage = Stage.STATE

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    def covers(self, place: Place, kind: Kind) -> bool:
        return place.record is Adoption

    def count(self, subject: Subject) -> Mapping[str, int]:
        return {"adoptions": len(self._found(subject))}

    def erase(self, subject: Subject) -> list[str]:
        for path in self._found(subject):
            self._needs.ops().delete(path)
        return []

    def _found(self, subject: Subject) -> list[str]:
        if subject.kind != "tenant":
            return []
        below, own = f"{subject.path}/", f"aso_tenant_{subject.tenant_id}."
        adopted = self._needs.ops().find("adoptions")
        return [path for path, held in adopted if held["path"].startswith(below) or held["log"].startswith(own)]


def stores(needs: Needs) -> tuple[Store, ...]:
    """Adoptions."""
    return (Adoptions(needs),)
