"""What of Firestore's client becomes of Scout's words."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore
from google.cloud.firestore_v1 import types

from shared.adapters.firestore import FirestoreDocuments
from shared.errors import NotNow, Rejected
from shared.schema.ports import Values


class Server:
    """What the client calls of Firestore: it holds nothing, and answers every commit with an error."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def begin_transaction(self, **_: Any) -> types.BeginTransactionResponse:
        return types.BeginTransactionResponse(transaction=b"1")

    def batch_get_documents(self, request: dict[str, Any], **_: Any) -> Iterator[types.BatchGetDocumentsResponse]:
        yield types.BatchGetDocumentsResponse(missing=request["documents"][0])

    def commit(self, **_: Any) -> None:
        if self.error is not None:
            raise self.error

    def rollback(self, **_: Any) -> None:
        return None


def documents(error: Exception | None = None) -> FirestoreDocuments:
    """A real client of that server."""
    client = firestore.Client(project="test", credentials=AnonymousCredentials(), database="d")
    client._firestore_api_internal = Server(error)
    return FirestoreDocuments(client)


def change(found: Values | None) -> dict[str, Any]:
    return {"n": 1}


def test_commits_that_are_aborted_every_time_are_contention():
    contended = documents(exceptions.Aborted("too much contention"))
    with pytest.raises(NotNow, match="contended"):
        contended.transact("a/b", change)
    with pytest.raises(NotNow, match="contended"):
        contended.delete_older("a/b", "at", 1)


@pytest.mark.parametrize("error", [ValueError("bad value"), UnicodeDecodeError("utf-8", b"x", 0, 1, "bad")])
def test_an_error_of_the_change_is_raised_as_it_is(error: ValueError):
    def fail(found: Values | None) -> Values | None:
        raise error

    with pytest.raises(type(error)) as raised:
        documents().transact("a/b", fail)
    assert raised.value is error


def test_values_that_firestore_refuses_are_not_quoted():
    with pytest.raises(Rejected) as refused:
        documents(exceptions.InvalidArgument("ann@example.com is no value")).transact("a/b", change)
    assert refused.value.fields == {"cause": "InvalidArgument"}
