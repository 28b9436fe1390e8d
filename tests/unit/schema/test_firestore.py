"""Rules and indexes from declarations."""

from datetime import date
from typing import Literal

import pytest

from shared.schema.firestore import indexes, rules
from shared.schema.record import ClientWritable, Collection, Json, Key, Record
from shared.schema.registry import records
from tests.unit.schema.samples import Invoice, Shared, Summary


class Own(Record):
    """Of another database."""

    own_id: Key[str]

    collection = Collection("own", database="ops", indexes=(("a", "b"),))


class Customer(Record):
    """The tenants' own documents."""

    tenant_id: Key[str]

    collection = Collection("tenants")


class Typed(Record):
    """Fields of several types that members may write."""

    tenant_id: Key[str]
    count: ClientWritable[int] = 0
    share: ClientWritable[float] = 0.0
    kind: ClientWritable[Literal["a", "b"] | None] = None
    day: ClientWritable[date | None] = None

    collection = Collection("typed")


class Unchecked(Record):
    """A field that may be anything."""

    tenant_id: Key[str]
    anything: ClientWritable[Json] = {}

    collection = Collection("unchecked")


def block(text: str, path: str) -> str:
    """The rules of one collection."""
    return text.split(f"match /{path} {{")[1].split("\n    }")[0]


def test_members_read_their_own_tenants_documents():
    own = block(rules([Invoice]), "tenants/{tenant_id}/invoices/{document_id}")
    assert "allow read: if member(tenant_id);" in own


def test_a_shared_collection_is_guarded_by_the_documents_own_tenant():
    own = block(rules([Shared]), "words/{document_id}")
    assert "allow read: if member(resource.data.tenant_id);" in own


def test_a_tenants_own_document_is_guarded_by_its_id():
    assert "allow read: if member(tenant_id);" in block(rules([Customer]), "tenants/{tenant_id}")


def test_members_change_marked_fields_only_and_to_declared_values_only():
    own = block(rules([Invoice]), "tenants/{tenant_id}/invoices/{document_id}")
    assert "changes_only(['state', 'remark'])" in own
    assert "(keeps('state') || request.resource.data.get('state', null) in ['open', 'paid'])" in own
    remark = "request.resource.data.get('remark', null)"
    assert f"(keeps('remark') || {remark} == null || ({remark} is string && {remark}.size() <= 500))" in own


def test_a_value_is_checked_by_its_type():
    own = block(rules([Typed]), "typed/{document_id}")
    assert "(keeps('count') || request.resource.data.get('count', null) is int)" in own
    assert "(keeps('share') || request.resource.data.get('share', null) is number)" in own
    named = "request.resource.data.get('kind', null)"
    assert f"(keeps('kind') || {named} == null || {named} in ['a', 'b'])" in own
    day = "request.resource.data.get('day', null)"
    assert f"(keeps('day') || {day} == null || ({day} is string && {day}.matches('^[0-9]{{4}}-" in own


def test_a_field_that_no_rule_can_check_is_not_declared_writable():
    with pytest.raises(TypeError, match=r"Unchecked\.anything"):
        rules([Unchecked])


def test_nobody_creates_or_deletes_from_a_browser():
    text = rules([Invoice, Shared, Customer])
    assert "create" not in text
    assert "delete" not in text
    assert "allow write" not in text


def test_a_record_without_marked_fields_is_read_only():
    assert "update" not in rules([Shared])


def test_what_no_record_declares_is_denied():
    assert "match /" not in rules(()).split("match /databases")[1]
    assert "summaries" not in rules([Summary])


def test_each_database_has_its_own_rules_and_indexes():
    assert "own" not in rules([Own]).split("documents {")[1]
    assert "match /own/{document_id}" in rules([Own], "ops")
    assert indexes([Own])["indexes"] == []
    assert [index["collectionGroup"] for index in indexes([Own, Invoice], "ops")["indexes"]] == ["own"]


def test_index_says_which_fields_in_which_order():
    first = indexes([Invoice])["indexes"][0]
    assert first == {
        "collectionGroup": "invoices",
        "queryScope": "COLLECTION",
        "fields": [
            {"fieldPath": "state", "order": "ASCENDING"},
            {"fieldPath": "issued_on", "order": "DESCENDING"},
        ],
    }
    assert len(indexes([Invoice])["indexes"]) == 2


def test_expiry_is_a_ttl_policy_without_an_index():
    assert indexes([Invoice, Shared])["fieldOverrides"] == [
        {"collectionGroup": "invoices", "fieldPath": "expires_at", "ttl": True, "indexes": []}
    ]


def test_a_field_of_very_many_elements_has_no_index():
    class Long(Record):
        """One whose documents would have more entries in indexes than a document may."""

        collection = Collection("long", ttl_field="expires_at", unindexed=("ids", "expires_at"))

    assert indexes([Long])["fieldOverrides"] == [
        {"collectionGroup": "long", "fieldPath": "expires_at", "ttl": True, "indexes": []},
        {"collectionGroup": "long", "fieldPath": "ids", "indexes": []},
    ]


def test_only_declared_fields_are_in_no_index_and_no_composite_index_needs_one_of_them():
    collections = {record: record.collection for record in records() if record.collection is not None}
    assert any(collection.unindexed for collection in collections.values())
    for record, collection in collections.items():
        assert set(collection.unindexed) <= set(record.model_fields)
        assert not set(collection.unindexed) & {name.lstrip("-") for index in collection.indexes for name in index}


def test_braces_are_balanced():
    text = rules([Invoice, Shared, Customer])
    assert text.count("{") == text.count("}")
    assert text.count("(") == text.count(")")
