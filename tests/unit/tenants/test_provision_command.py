import json

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


def test_an_override_of_what_no_detector_has_is_refused_before_anything_is_made(capsys):
    wrong = {"detectors": {"page_cvr_drop": {"thresholds": {"min_session": 5}}, "page_cvr_dorp": {"enabled": False}}}
    assert main("acme", json.dumps(wrong)) == 1
    said = capsys.readouterr().err
    assert "detectors.page_cvr_drop: override of thresholds.min_session: it has no such threshold" in said
    assert "detectors.page_cvr_dorp: no such detector" in said
