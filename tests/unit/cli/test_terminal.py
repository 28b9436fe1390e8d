"""How commands end: with a sentence and a code, never with a traceback."""

import pytest
import typer

from infra.cli.terminal import AGAIN_LATER, REFUSED, working
from shared.comparison.messages import ReconcileAsked
from shared.errors import AppError, Rejected, Unavailable
from shared.schema.message import Message
from shared.settings import Settings


@pytest.fixture(autouse=True)
def connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.runtime.clients.connect", object)
    monkeypatch.delenv("FIRESTORE_EMULATOR_HOST", raising=False)


def test_a_value_that_a_message_refuses_is_named_with_what_was_expected(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(typer.Exit) as ended, working():
        ReconcileAsked(settle_seconds=300, tenant_id="not a tenant's id: somebody@example.com")
    said = capsys.readouterr().err
    assert ended.value.exit_code == REFUSED
    assert "settle_seconds: Input should be less than or equal to 120" in said
    assert "tenant_id: " in said
    assert "somebody@example.com" not in said


def test_a_field_that_no_message_has_is_named(capsys: pytest.CaptureFixture[str]):
    class Asked(Message):
        """Nothing."""

    with pytest.raises(typer.Exit) as ended, working():
        Asked.model_validate({"settle": 1})
    assert ended.value.exit_code == REFUSED
    assert "Asked is not valid: settle: Extra inputs are not permitted" in capsys.readouterr().err


def test_settings_that_are_not_set_are_named_with_the_way_to_set_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    with pytest.raises(typer.Exit) as ended, working():
        Settings()
    said = capsys.readouterr().err
    assert ended.value.exit_code == REFUSED
    assert "not set: GOOGLE_CLOUD_PROJECT" in said
    assert "make up" in said


@pytest.mark.parametrize(("error", "code"), [(Rejected("no"), REFUSED), (Unavailable("later"), AGAIN_LATER)])
def test_errors_of_scouts_own_end_with_their_code(error: AppError, code: int):
    with pytest.raises(typer.Exit) as ended, working():
        raise error
    assert ended.value.exit_code == code


def test_a_bug_stays_a_bug():
    with pytest.raises(ZeroDivisionError), working():
        raise ZeroDivisionError
