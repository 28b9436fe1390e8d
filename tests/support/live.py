"""Live writes beside a backfill: real ones on the Firestore emulator, their events late, shuffled and twice."""

import asyncio
import random
import threading
from collections import Counter
from typing import Any

from google.cloud.firestore_v1._helpers import encode_dict
from google.cloud.firestore_v1.types import document, write
from google.cloud.firestore_v1.types import firestore as rpc

from shared.runtime.clients import Clients
from shared.streaming.change import EventData

PACE_SECONDS = 0.05


class Live:
    """Writes, deletes and makes anew documents `thing-00000` to `thing-19999` of one collection."""

    def __init__(self, clients: Clients, path: str, chance: random.Random, documents: int = 20_000) -> None:
        self.counts: Counter[str] = Counter()
        self._clients = clients
        self._client = clients.documents.client
        self._database = f"projects/{clients.settings.project}/databases/(default)"
        self._path = path
        self._chance = chance
        self._documents = documents
        self._held: dict[str, Any] = {}
        """Name -> the document as it is; None where it was deleted."""

    async def until(self, done: threading.Event, lab: Any) -> list[str]:
        """Go on until `done` and everything has arrived; what was seen that must not be."""
        wrong: list[str] = []
        waiting: list[asyncio.Task[None]] = []
        while not done.is_set():
            # A pace, so that both sides get their share of the machine.
            _, events = await asyncio.gather(asyncio.sleep(PACE_SECONDS), asyncio.to_thread(self._step))
            for body in events:
                for _ in range(self._chance.choice((1, 1, 2))):
                    waiting.append(asyncio.create_task(self._deliver(body, self._chance.random())))
            if self.counts["steps"] % 25 == 0:
                wrong += await self._probe(lab)
        await asyncio.gather(*waiting)
        self._clients.streamer.close()
        return wrong

    async def _deliver(self, body: bytes, late: float) -> None:
        await asyncio.sleep(late)
        await self._clients.streamer.stream(body, f"live-{self._chance.random()}", None)

    async def _probe(self, lab: Any) -> list[str]:
        """One change whose event is durable, looked up at once."""
        name = self._pick(gone=False)
        body = (await asyncio.to_thread(self._commit, [(name, None)]))[0]
        await self._deliver(body, 0)
        document_id = name.rsplit("/", 1)[-1]
        found = await asyncio.to_thread(lab.rows, "document_id", None, f"document_id = '{document_id}'")
        self.counts["probes"] += 1
        return [f"{document_id} is back"] if found else []

    def _step(self) -> list[bytes]:
        self.counts["steps"] += 1
        changes: dict[str, dict[str, Any] | None] = {}
        for _ in range(8):
            gone = self._chance.random() < 0.2
            name = self._pick(gone)
            delete = self._chance.random() < 0.4 and not gone
            changes[name] = None if delete else {"n": self._chance.randrange(10**6), "live": True}
        return self._commit(list(changes.items()))

    def _pick(self, gone: bool) -> str:
        """A document: one that is gone, else any that is there."""
        deleted = [name for name, held in self._held.items() if held is None]
        if gone and deleted:
            return self._chance.choice(deleted)
        while True:
            number = self._chance.randrange(self._documents)
            name = f"{self._database}/documents/{self._path}/thing-{number:05d}"
            if self._held.get(name, True) is not None:
                return name

    def _commit(self, changes: list[tuple[str, dict[str, Any] | None]]) -> list[bytes]:
        """Write at once; the events that Firestore would send."""
        unknown = [name for name, _ in changes if name not in self._held]
        self._held.update(self._clients.scan.fetch(unknown, "(default)"))
        writes = []
        for name, values in changes:
            if values is None:
                writes.append(write.Write(delete=name))
            else:
                writes.append(write.Write(update=document.Document(name=name, fields=encode_dict(values))))
        request = rpc.CommitRequest(database=self._database, writes=writes)
        answer = self._client._firestore_api.commit(request, metadata=self._client._rpc_metadata)
        return [
            self._event(name, values, result.update_time)
            for (name, values), result in zip(changes, answer.write_results, strict=True)
        ]

    def _event(self, name: str, values: dict[str, Any] | None, update_time: Any) -> bytes:
        before = self._held.get(name)
        data = EventData()
        if before is not None:
            data.old_value.ParseFromString(before.SerializeToString())
        if values is None:
            self.counts["deleted"] += 1
            self._held[name] = None
        else:
            self.counts["written" if before is not None else "made anew"] += 1
            made = document.Document.pb()(name=name)
            for field, value in encode_dict(values).items():
                made.fields[field].CopyFrom(value._pb)
            made.update_time.CopyFrom(update_time.timestamp_pb())
            made.create_time.CopyFrom(before.create_time if before is not None else made.update_time)
            self._held[name] = made
            data.value.ParseFromString(made.SerializeToString())
        return bytes(data.SerializeToString())
