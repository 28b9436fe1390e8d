import pytest

from infra.provision import main
from shared.runtime import clients


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clients, "connect", lambda: clients.Clients(None, documents=None, warehouse=None))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("Bad-Name",), "tenant_id is not valid: field tenant_id, expected 1-63 of a-z"),
        (("x", "{"), "SETTINGS is not JSON"),
        (("x", '{"sources": {"ga4": {"settling_days": -1}}}'), "settling_days: Input should be greater"),
    ],
    ids=["name", "json", "settings"],
)
def test_what_cannot_be_provisioned_is_said_in_a_sentence(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
):
    assert main(*arguments) == 1
    assert capsys.readouterr().err.startswith(said)
