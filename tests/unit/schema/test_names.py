"""Names that become part of SQL and paths."""

import pytest
from pydantic import BaseModel, ValidationError

from shared.errors import BadRequest
from shared.schema.names import TenantId, tenant_id


class Asked(BaseModel):
    tenant_id: TenantId


@pytest.mark.parametrize("name", ["demo", "a", "9lives", "a_b", "a" * 63])
def test_a_name_that_a_dataset_can_hold_is_taken(name: str):
    assert tenant_id(name) == name
    assert Asked(tenant_id=name).tenant_id == name


WRONG = ["", "_a", "Demo", "a-b", "a.b", "a/b", "a b", "a`", "a;drop", "ä", "a" * 64, "..", "a\n"]


@pytest.mark.parametrize("name", WRONG)
def test_any_other_name_is_refused_by_its_field(name: str):
    with pytest.raises(BadRequest) as refused:
        tenant_id(name)
    assert refused.value.fields["field"] == "tenant_id"


@pytest.mark.parametrize("name", WRONG)
def test_a_message_refuses_the_same_names(name: str):
    with pytest.raises(ValidationError):
        Asked(tenant_id=name)
