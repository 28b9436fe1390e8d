"""The certificate, its sweeps, and what a crash in the middle leaves behind."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from shared.erasure.service import Erasures, subject_hash
from shared.erasure.store import Needs, Stage
from shared.erasure.subject import Subject, document, tenant
from shared.errors import BadRequest, Forbidden, NotFound, Unavailable
from shared.ops.leases import Leases
from tests.fakes import FakeDocuments

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
PATH = "tenants/demo/contacts/zoe"


class Shelf:
    """A store of as many things as it is told; `down` refuses, `crash` is a bug in the middle."""

    def __init__(self, name: str, stage: Stage, held: int = 3) -> None:
        self.name, self.stage, self.held = name, stage, held
        self.down = self.crash = False
        self.asked: list[Subject] = []

    def covers(self, *_: object) -> bool:
        return True

    def count(self, subject: Subject) -> Mapping[str, int]:
        return {"things": self.held}

    def erase(self, subject: Subject) -> list[str]:
        self.asked.append(subject)
        if self.down:
            raise Unavailable("busy")
        self.held = 0
        if self.crash:
            raise RuntimeError("killed")
        return [f"DELETE FROM {self.name}"]


class Lab:
    def __init__(self) -> None:
        self.documents, self.ops, self.now = FakeDocuments(), FakeDocuments(), BEGAN
        self.documents.now = BEGAN + timedelta(seconds=1)
        self.source, self.rows = Shelf("firestore", Stage.SOURCE), Shelf("rows", Stage.ROWS)
        needs = Needs(
            project="p",
            databases=("(default)",),
            documents=lambda name: self.documents,
            ops=lambda: self.ops,
            leases=lambda: Leases(self.ops),
            patterns=tuple,
            **dict.fromkeys(("warehouse", "bucket", "cache"), lambda *_: None),  # type: ignore[arg-type]
        )
        self.erasures = Erasures(needs, (self.source, self.rows), lambda: self.now)

    def erase(self, subject: Subject = document(PATH)) -> str:  # noqa: B008
        return self.erasures.run(self.erasures.request(subject, "someone").erasure_id).erasure_id

    def later(self, **passed: float) -> None:
        self.now += timedelta(**passed)


@pytest.fixture
def lab():
    return Lab()


def test_the_certificate_says_what_each_store_held_before_and_after(lab):
    found = lab.erasures.get(lab.erase())
    assert found.stores["rows"]["things"].model_dump() == {"before": 3, "removed": 3, "after": 0}
    assert found.statements == ["DELETE FROM firestore", "DELETE FROM rows"]
    assert (found.status, found.gone_at, found.finished_at) == ("open", BEGAN + timedelta(seconds=1), BEGAN)


def test_rows_are_told_from_those_of_a_later_document_by_firestores_own_time(lab):
    lab.erase()
    assert lab.source.asked[0].until is None
    assert lab.rows.asked[0].until == BEGAN + timedelta(seconds=1)


def test_asked_twice_is_one_erasure(lab):
    assert lab.erase() == lab.erase()
    assert len(lab.erasures.latest()) == 1


def test_asked_again_once_it_is_final_is_another_that_finds_nothing(lab):
    first = lab.erase()
    lab.later(hours=27)
    lab.erasures.sweep(operator=True)
    second = lab.erase()
    assert second != first
    assert lab.erasures.get(second).stores["rows"]["things"].before == 0


@pytest.mark.parametrize("shelf", ["source", "rows"])
def test_after_a_crash_in_the_middle_the_next_pass_goes_on(lab, shelf):
    getattr(lab, shelf).crash = True
    with pytest.raises(RuntimeError):
        lab.erase()
    getattr(lab, shelf).crash = False
    erasure_id = lab.erase()
    assert (lab.source.held, lab.rows.held) == (0, 0)
    assert lab.erasures.get(erasure_id).finished_at is not None
    assert len(lab.erasures.latest()) == 1


def test_nothing_else_is_touched_before_the_source_is_gone(lab):
    lab.source.down = True
    with pytest.raises(Unavailable, match="Firestore"):
        lab.erase()
    assert lab.rows.asked == []


def test_a_store_that_fails_waits_for_the_next_sweep_and_stops_no_other(lab):
    other = Shelf("cache", Stage.DERIVED)
    lab.erasures._stores = (lab.source, lab.rows, other)
    lab.rows.down = True
    found = lab.erasures.get(lab.erase())
    assert other.held == 0
    assert found.sweeps[-1].waiting == {"rows": "Unavailable: busy"}
    assert found.finished_at is None
    lab.later(hours=27)
    assert lab.erasures.sweep(operator=True)["final"] == 0
    lab.rows.down = False
    assert lab.erasures.sweep(operator=True) == {"swept": 1, "removed": 3, "final": 1}


def test_a_tenants_notes_stay_until_nothing_is_held_that_they_tell_of(lab):
    notes = Shelf("notes", Stage.STATE)
    lab.erasures._stores = (lab.source, lab.rows, notes)
    lab.rows.down = True
    erasure_id = lab.erase(tenant("demo"))
    assert (lab.source.held, notes.held) == (0, 3)
    assert lab.erasures.get(erasure_id).finished_at is None
    lab.rows.down = False
    lab.erasures.sweep(operator=True)
    assert (lab.rows.held, notes.held) == (0, 0)
    assert lab.erasures.get(erasure_id).finished_at is not None


def test_what_arrives_late_is_swept_and_counted(lab):
    erasure_id = lab.erase()
    lab.later(hours=20)
    lab.rows.held = 1
    assert lab.erasures.sweep(operator=True) == {"swept": 1, "removed": 1, "final": 0}
    assert lab.erasures.get(erasure_id).stores["rows"]["things"].model_dump() == {"before": 3, "removed": 4, "after": 0}


@pytest.mark.parametrize(("hours", "status"), [(25.9, "open"), (26.1, "final")])
def test_it_is_final_only_once_nothing_can_arrive_any_more(lab, hours, status):
    erasure_id = lab.erase()
    lab.later(hours=hours)
    lab.erasures.sweep(operator=True)
    assert lab.erasures.get(erasure_id).status == status


def test_a_final_certificate_names_nobody_and_can_be_checked_by_who_knows_the_name(lab):
    erasure_id = lab.erase()
    lab.later(hours=27)
    lab.erasures.sweep(operator=True)
    assert "zoe" not in str(lab.ops.documents)
    assert lab.erasures.get(erasure_id).subject_hash == subject_hash(erasure_id, "(default)", PATH)
    assert lab.erasures.sweep(operator=True) == {"swept": 0, "removed": 0, "final": 0}


def test_a_tenant_that_is_provisioned_again_is_not_swept_away(lab):
    erasure_id = lab.erase(tenant("demo"))
    lab.documents.now += timedelta(hours=1)
    lab.documents.put("tenants/demo", {"tenant_id": "demo"})
    lab.rows.held = 5
    lab.erasures.sweep(operator=True)
    assert lab.erasures.get(erasure_id).status == "superseded"
    assert lab.rows.held == 5


def test_a_tenant_of_which_there_is_nothing_is_refused(lab):
    lab.source.held = lab.rows.held = 0
    with pytest.raises(NotFound):
        lab.erasures.request(tenant("demmo"), "someone")


def test_only_an_operator_sweeps(lab):
    with pytest.raises(Forbidden):
        lab.erasures.sweep(operator=False)


def test_one_erasure_that_fails_stops_no_other_sweep(lab):
    lab.erase(document("tenants/demo/contacts/a"))
    failing = lab.erasures.request(document("tenants/demo/contacts/b"), "someone")
    lab.rows.held = 1
    with Leases(lab.ops, lambda: lab.now).hold(f"erase:{failing.erasure_id}", 60), pytest.raises(Unavailable) as raised:
        lab.erasures.sweep(operator=True)
    assert list(raised.value.fields["failed"]) == [failing.erasure_id]
    assert lab.rows.held == 0


@pytest.mark.parametrize("path", ["tenants/demo/contacts", "tenants//contacts/x", "", "tenants/demo"])
def test_what_is_no_document_is_refused_with_what_was_expected(path):
    with pytest.raises(BadRequest) as raised:
        document(path)
    assert raised.value.fields["field"] == "document"


def test_scouts_own_state_is_not_erased_by_document(lab):
    with pytest.raises(BadRequest):
        lab.erasures.request(document("leases/x", "ops"), "someone")
