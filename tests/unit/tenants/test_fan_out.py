"""Asking for a run of every tenant."""

import pytest

from shared.errors import Rejected, Unavailable
from shared.tenants.fan_out import Asked, ask_each


def test_one_that_is_refused_stops_no_other_and_is_told():
    def ask(tenant_id: str) -> str | None:
        if tenant_id == "bad":
            raise Rejected("the tenant's settings are not valid", value="secret")
        return None if tenant_id == "idle" else f"run-{tenant_id}"

    asked = ask_each(["a", "bad", "idle", "b"], ask)
    assert asked == Asked(["run-a", "run-b"], {"bad": "Rejected: the tenant's settings are not valid"})


def test_what_may_work_later_is_told_once_all_were_tried():
    tried = []

    def ask(tenant_id: str) -> str:
        tried.append(tenant_id)
        if tenant_id == "a":
            raise Unavailable("Pub/Sub is not available")
        return tenant_id

    with pytest.raises(Unavailable) as unavailable:
        ask_each(["a", "b"], ask)
    assert tried == ["a", "b"]
    assert list(unavailable.value.fields["failed"]) == ["a"]
