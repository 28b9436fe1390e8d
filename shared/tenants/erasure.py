"""Erasing Firestore documents, and the datasets that are a tenant's own."""

from collections import Counter
from collections.abc import Iterator, Mapping

from shared.erasure.places import OPS, Place
from shared.erasure.store import Datasets, Needs, Stage, Store, Tree
from shared.erasure.subject import Kind, Subject
from shared.schema.record import PLACEHOLDER
from shared.schema.registry import records
from shared.schema.sql import render
from shared.streaming.destinations import destinations


class FirestoreDocuments:
    """The source: the document with all below it; of a tenant everything below `tenants/{id}`, in every database, and
    its documents in shared collections.
    """

    name = "firestore"
    stage = Stage.SOURCE

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    def covers(self, place: Place, kind: Kind) -> bool:
        if place.kind != "collection" or place.name.startswith(f"{OPS}/"):
            return False
        path = place.name.partition("/")[2]
        return kind == "document" or path.split("/")[0] == "tenants" or _shared(path, place)

    def count(self, subject: Subject) -> Mapping[str, int]:
        return Counter(_collection(database, path) for database, _, paths in self._found(subject) for path in paths)

    def erase(self, subject: Subject) -> list[str]:
        for _, documents, paths in self._found(subject):
            documents.delete_many(paths)
        return []

    def _found(self, subject: Subject) -> Iterator[tuple[str, Tree, Iterator[str]]]:
        for database in self._databases(subject):
            documents = self._needs.documents(database)
            # What was written under a document's name since it was gone is another document.
            until = subject.until if subject.kind == "document" else None
            tree = documents.tree(subject.path)
            yield database, documents, (path for path, made in tree if until is None or made <= until)
            if subject.kind == "tenant":
                for collection in self._shared_collections(database):
                    found = documents.find(collection, where=[("tenant_id", "==", subject.tenant_id)])
                    yield database, documents, (path for path, _ in found)

    def _databases(self, subject: Subject) -> list[str]:
        if subject.kind == "document":
            return [subject.database]
        return sorted(
            {*self._needs.databases, *(pattern.database for pattern in self._needs.patterns())}
            - {self._needs.ops_database}
        )

    def _shared_collections(self, database: str) -> list[str]:
        return [
            record.collection.path
            for record in records()
            if record.collection is not None
            and record.collection.database == database
            and "tenant_id" in record.model_fields
            and _is_shared(record.collection.path)
        ]


class TenantDatasets:
    """Datasets whose name is the tenant's: dropped whole, with logs, tables, views and whatever else lies in them."""

    name = "datasets"
    stage = Stage.ROWS

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    def covers(self, place: Place, kind: Kind) -> bool:
        dataset = place.name.partition(".")[0]
        return kind == "tenant" and place.kind == "table" and PLACEHOLDER.findall(dataset) == ["tenant_id"]

    def count(self, subject: Subject) -> Mapping[str, int]:
        warehouse, found = self._needs.warehouse(), {}
        for pattern, dataset in self._datasets(subject, warehouse):
            listed = warehouse.query(render("tenants/sql/tables.sql", dataset=dataset))
            found[f"{pattern} (tables)"] = len(listed)
            names = [row["table_name"] for row in listed if row["table_type"] == "BASE TABLE"]
            if names:
                held = warehouse.query(render("tenants/sql/row_counts.sql", dataset=dataset, tables=names))
                found |= {f"{pattern}.{row['table_name']}": row["row_count"] for row in held}
        return found

    def erase(self, subject: Subject) -> list[str]:
        warehouse, done = self._needs.warehouse(), []
        for pattern, dataset in self._datasets(subject, warehouse):
            warehouse.drop_dataset(dataset)
            done.append(f"DROP SCHEMA `{pattern}` CASCADE")
        return done

    def _datasets(self, subject: Subject, warehouse: Datasets) -> Iterator[tuple[str, str]]:
        if subject.kind != "tenant" or subject.tenant_id is None:
            return
        declared = [record.table.dataset for record in records() if record.table is not None]
        declared += [each.dataset for each in destinations(self._needs, subject)]
        for pattern in sorted({name for name in declared if PLACEHOLDER.findall(name) == ["tenant_id"]}):
            dataset = PLACEHOLDER.sub(subject.tenant_id, pattern)
            if warehouse.exists(dataset):
                yield pattern, dataset


def stores(needs: Needs) -> tuple[Store, ...]:
    """Where tenants' own data is."""
    return FirestoreDocuments(needs), TenantDatasets(needs)


def _is_shared(path: str) -> bool:
    return "/" not in path and path != "tenants"


def _shared(path: str, place: Place) -> bool:
    return _is_shared(path) and place.has("tenant_id")


def _collection(database: str, path: str) -> str:
    """`(default)/tenants/contacts/notes`: the collections on the way, without the ids, which may name people."""
    return "/".join([database, *path.split("/")[::2]])
