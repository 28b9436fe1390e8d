"""Everything a function talks to, made on first use: importing a function opens nothing and costs little."""

from collections.abc import Callable
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING

from shared.ops.dead_letters import DeadLetters
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook
from shared.runtime.auth import Verifier
from shared.runtime.breaker import Breakers
from shared.runtime.guard import GuardedSink, guard
from shared.settings import Settings, settings
from shared.tenants.service import Tenants

if TYPE_CHECKING:
    from shared.adapters.bigquery import BigQueryWarehouse
    from shared.adapters.firestore import FirestoreDocuments
    from shared.adapters.redis import RedisCache
    from shared.adapters.storage import StorageObjects
    from shared.adoption.service import Adopter
    from shared.analytics.etl import Etl
    from shared.detectors.service import Detectors
    from shared.erasure.service import Erasures
    from shared.migrations.service import Migrations
    from shared.ops.replay import Replay
    from shared.schema.ports import Objects, Publisher, Secrets
    from shared.sources.checks import Checks
    from shared.sources.source import Source
    from shared.sources.sync import Sync
    from shared.sources.webhooks import Webhooks
    from shared.streaming.backfill import Backfills
    from shared.streaming.merge import Merger
    from shared.streaming.merges import Merges
    from shared.streaming.reconcile import Reconciler
    from shared.streaming.scan import Scan
    from shared.streaming.service import Streamer
    from shared.streaming.sink import Sink
    from shared.streaming.transforms import HashKeys
    from shared.streaming.undeclared import Patterns, UndeclaredTables
    from shared.streaming.writer import Writer


class Clients:
    """Adapters, each behind the circuit breaker of what it calls, and the services over them.

    Tests hand in others by keyword.
    """

    def __init__(self, configuration: Settings, **replacements: object) -> None:
        self.settings = configuration
        self.breakers = Breakers()
        self.__dict__.update(replacements)

    @cached_property
    def documents(self) -> "FirestoreDocuments":
        """The tenants' data."""
        from shared.adapters.firestore import FirestoreDocuments

        connected = FirestoreDocuments.connect(self.settings.project, self.settings.database)
        return guard(connected, self.breakers["firestore"])

    @cached_property
    def ops(self) -> "FirestoreDocuments":
        """Scout's own state."""
        from shared.adapters.firestore import FirestoreDocuments

        connected = FirestoreDocuments.connect(self.settings.project, self.settings.ops_database)
        return guard(connected, self.breakers["firestore"])

    @cached_property
    def scan(self) -> "Scan":
        """Reads whole collections of Firestore, of any of its databases."""
        from shared.adapters.firestore_scan import FirestoreScan

        return guard(FirestoreScan.connect(self.settings.project), self.breakers["firestore"])

    @cached_property
    def warehouse(self) -> "BigQueryWarehouse":
        """BigQuery."""
        from shared.adapters.bigquery import BigQueryWarehouse

        at = self.settings
        connected = BigQueryWarehouse.connect(
            at.project, at.bigquery_endpoint, at.bigquery_location, at.bigquery_grpc_endpoint
        )
        return guard(connected, self.breakers["bigquery"])

    @cached_property
    def publisher(self) -> "Publisher":
        """Pub/Sub."""
        from shared.adapters.pubsub import PubSubPublisher

        return guard(PubSubPublisher(self.settings.project), self.breakers["pubsub"])

    @cached_property
    def dead_letter_objects(self) -> "Objects":
        """The bucket of set-aside events."""
        from shared.adapters.storage import StorageObjects

        connected = StorageObjects.connect(self.settings.project, self.settings.dead_letter_bucket)
        return guard(connected, self.breakers["storage"])

    @cached_property
    def cache(self) -> "RedisCache":
        """Cached answers."""
        from shared.adapters.redis import RedisCache

        # Reading without a cache is slower and no error, so there is nothing that a breaker could see.
        return guard(RedisCache.connect(self.settings.redis_url), self.breakers["redis"], only=("forget", "sweep"))

    @cached_property
    def verifier(self) -> Verifier:
        """Verifies callers' tokens."""
        return Verifier(self.settings.token_issuers)

    @cached_property
    def dead_letters(self) -> DeadLetters:
        """Sets events aside."""
        return DeadLetters(self.dead_letter_objects, self.ops)

    @cached_property
    def progress(self) -> ProgressBook:
        """Progress of runs."""
        return ProgressBook(self.ops)

    @cached_property
    def leases(self) -> Leases:
        """One worker at a time."""
        return Leases(self.ops)

    @cached_property
    def secrets(self) -> "Secrets":
        """Credentials of tenants' sources."""
        if self.settings.secrets == "environment":
            from shared.adapters.environment_secrets import EnvironmentSecrets

            return guard(EnvironmentSecrets(), self.breakers["secrets"])
        from shared.adapters.secret_manager import SecretManager

        return guard(SecretManager(self.settings.project), self.breakers["secrets"])

    @cached_property
    def sources(self) -> "dict[str, Callable[[str], Source]]":
        """What can be pulled, by name, for a tenant."""
        from shared.runtime.connectors import connectors

        return connectors(self.settings, self.breakers)

    @cached_property
    def sync(self) -> "Sync":
        """Pulls sources."""
        from shared.content.keywords import DocumentKeywords
        from shared.content.rankings import SearchRankings
        from shared.sources.sync import Sync

        rankings = SearchRankings(self.documents, DocumentKeywords(self.documents))
        return Sync(
            self.sources,
            self.documents,
            self.ops,
            self.progress,
            self.leases,
            self.publisher,
            self.tenants,
            self.secrets,
            {"search_console": rankings.after},
        )

    @cached_property
    def checks(self) -> "Checks":
        """Tests connections that somebody asked to be tested."""
        from shared.sources.checks import Checks

        return Checks(self.sync, self.progress, self.publisher)

    @cached_property
    def webhooks(self) -> "Webhooks":
        """Takes what vendors send."""
        from shared.sources.webhooks import Webhooks

        return Webhooks(self.sources, self.sync, self.documents, self.ops, self.secrets)

    @cached_property
    def etl(self) -> "Etl":
        """Makes metrics of raw rows."""
        from shared.analytics.etl import PAUSES, Etl

        return Etl(
            self.warehouse, self.ops, self.progress, self.leases, self.publisher, self.tenants.get, pauses=PAUSES
        )

    @cached_property
    def sink(self) -> "Sink":
        """Connections that append rows."""
        from shared.adapters.bigquery_write import BigQuerySink

        at = self.settings
        sink = BigQuerySink.open(at.project, at.bigquery_endpoint, at.bigquery_grpc_endpoint)
        return GuardedSink(sink, self.breakers["bigquery-append"])

    def writer(self) -> "Writer":
        """A writer of documents' rows, for one event loop."""
        from shared.streaming.effects import Effects
        from shared.streaming.writer import Writer

        return Writer(self.sink, Effects(lambda: self.cache, lambda: self.publisher).follow)

    @cached_property
    def streamer(self) -> "Streamer":
        """Streams documents' changes into BigQuery; belongs to the event loop it is first used on."""
        return self.open_streamer()

    def open_streamer(self) -> "Streamer":
        """Another streamer, for another event loop."""
        from shared.streaming.service import Streamer

        return Streamer(
            self.writer(),
            patterns=self.patterns,
            tables=self.undeclared_tables,
            keys=self.hash_keys,
            reader=lambda: self.scan,
        )

    @cached_property
    def hash_keys(self) -> "HashKeys":
        """The keys of hashed fields."""
        from shared.streaming.transforms import HashKeys

        return HashKeys(self.settings.hash_key.get_secret_value())

    @cached_property
    def replay(self) -> "Replay":
        """Delivers set-aside events again."""
        from shared.ops.replay import Replay
        from shared.runtime.redelivery import redelivery

        redelivered = redelivery(self.open_streamer, lambda: self.scan, lambda: self.publisher)
        return Replay(self.dead_letters, redelivered, self.progress, self.leases, self.publisher)

    @cached_property
    def patterns(self) -> "Patterns":
        """Which undeclared collections are streamed."""
        from shared.streaming.undeclared import Patterns

        return Patterns(lambda: self.ops)

    @cached_property
    def undeclared_tables(self) -> "UndeclaredTables":
        """Makes tables of undeclared collections."""
        from shared.streaming.undeclared import UndeclaredTables

        return UndeclaredTables(lambda: self.ops, lambda: self.warehouse)

    @cached_property
    def adopter(self) -> "Adopter":
        """Adopts logs of the Firebase extension."""
        from shared.adoption.service import Adopter

        return Adopter(self.warehouse, self.ops, self.leases, self.undeclared_tables)

    @cached_property
    def merger(self) -> "Merger":
        """Merges current tables."""
        from shared.streaming.merge import Merger

        return Merger(self.warehouse, self.ops, self.leases)

    @cached_property
    def merges(self) -> "Merges":
        """Merges what is due."""
        from shared.streaming.merges import Merges

        return Merges(self.merger, self.tenants, self.ops)

    @cached_property
    def backfills(self) -> "Backfills":
        """Copies what collections already hold."""
        from shared.adapters.bigquery_pending import BigQueryPending
        from shared.streaming.backfill import Backfills
        from shared.streaming.backfill_turn import Means

        at = self.settings
        pending = BigQueryPending.connect(at.project, at.bigquery_endpoint, at.bigquery_grpc_endpoint)
        return Backfills(
            Means(
                scan=self.scan,
                pending=guard(pending, self.breakers["bigquery-append"]),
                warehouse=self.warehouse,
                ops=self.ops,
                leases=self.leases,
                progress=self.progress,
                merger=self.merger,
                patterns=self.patterns,
                undeclared=self.undeclared_tables,
                publisher=lambda: self.publisher,
                keys=self.hash_keys,
            )
        )

    @cached_property
    def reconciler(self) -> "Reconciler":
        """Compares streams, and repairs them."""
        from shared.comparison.verification import Verifications
        from shared.streaming.reconcile import Reconciler
        from shared.streaming.repair import Repairer
        from shared.streaming.service import row_of

        verifications = Verifications(self.ops, self.progress)
        repairer = Repairer(
            self.writer, self.warehouse, self.leases, verifications, self.progress, self.undeclared_tables
        )
        return Reconciler(
            self.scan,
            self.warehouse,
            self.ops,
            self.progress,
            self.leases,
            self.publisher,
            verifications,
            repairer,
            self.patterns.load,
            partial(row_of, keys=self.hash_keys),
        )

    @cached_property
    def erasures(self) -> "Erasures":
        """Erases documents and tenants."""
        from shared.adapters.firestore import FirestoreDocuments
        from shared.adapters.storage import StorageObjects
        from shared.erasure.registry import stores
        from shared.erasure.service import Erasures
        from shared.erasure.store import Needs

        at = self.settings
        databases = tuple(dict.fromkeys([at.database, *at.databases.split()]))
        connected = {at.database: self.documents}

        def documents(database: str) -> FirestoreDocuments:
            if database not in connected:
                found = FirestoreDocuments.connect(at.project, database)
                connected[database] = guard(found, self.breakers["firestore"])
            return connected[database]

        @cache
        def bucket(setting: str) -> "StorageObjects | None":
            name = getattr(at, setting)
            return guard(StorageObjects.connect(at.project, name), self.breakers["storage"]) if name else None

        needs = Needs(
            project=at.project,
            databases=databases,
            documents=documents,
            ops=lambda: self.ops,
            warehouse=lambda: self.warehouse,
            bucket=bucket,
            cache=lambda: self.cache,
            leases=lambda: self.leases,
            patterns=self.patterns.load,
            ops_database=at.ops_database,
        )
        return Erasures(needs, stores(needs))

    @cached_property
    def migrations(self) -> "Migrations":
        """Brings tables to what is declared now."""
        from shared.migrations.service import Migrations

        return Migrations(self.documents, self.ops, self.warehouse, lambda: self.sink, self.leases)

    @cached_property
    def detectors(self) -> "Detectors":
        """Runs the catalogue."""
        from shared.detectors.service import Detectors

        return Detectors(self.warehouse, self.ops, self.progress, self.publisher, self.tenants)

    @cached_property
    def tenants(self) -> Tenants:
        """The tenants and their settings."""
        return Tenants(self.documents)


@cache
def connect() -> Clients:
    """The clients of this process."""
    return Clients(settings())
