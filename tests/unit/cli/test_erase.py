"""scout erase: how it ends."""

import pytest
from click.testing import Result
from typer.testing import CliRunner

from infra.cli.erase import app
from infra.cli.terminal import REFUSED
from tests.fakes import fake_clients
from tests.unit.erasure.test_service import PATH, Lab, Shelf


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    made = Lab()
    clients = fake_clients("demo", erasures=made.erasures, ops=made.ops)
    monkeypatch.setattr("shared.runtime.clients.connect", lambda: clients)
    return made


def erase() -> Result:
    return CliRunner().invoke(app, ["document", PATH, "--yes"])


class Sticky(Shelf):
    """A store that says that it is done, and still holds something."""

    def erase(self, subject: object) -> list[str]:
        return []


def test_it_ends_well_once_nothing_is_held(lab: Lab):
    assert erase().exit_code == 0


def test_it_is_refused_while_a_store_waits(lab: Lab):
    lab.rows.down = True
    assert erase().exit_code == REFUSED


def test_it_is_refused_while_a_store_holds_something_though_none_waits(lab: Lab):
    sticky = Sticky("copies", lab.rows.stage)
    lab.erasures._stores = (lab.source, lab.rows, sticky)
    ended = erase()
    assert (ended.exit_code, "scout erase show" in ended.output) == (REFUSED, True)
    sticky.held = 0
    assert erase().exit_code == 0
    sticky.held = 1  # what came late, once it was finished before
    assert erase().exit_code == REFUSED


def test_it_says_that_nothing_was_erased_of_a_tenant_that_was_provisioned_again(lab: Lab):
    lab.documents.put("tenants/demo", {})
    assert CliRunner().invoke(app, ["tenant", "demo", "--yes"], input="demo\n").exit_code == 0
    lab.documents.created.clear()
    lab.documents.now = lab.documents.now.replace(year=2027)
    lab.documents.put("tenants/demo", {})
    ended = CliRunner().invoke(app, ["tenant", "demo", "--yes"])
    assert (ended.exit_code, "provisioned again" in ended.output) == (REFUSED, True)
