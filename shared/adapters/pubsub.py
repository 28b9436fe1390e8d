"""Pub/Sub topics through the official client."""

from collections.abc import Mapping
from functools import cached_property

from google.api_core import exceptions
from google.cloud import pubsub_v1

from shared import trace
from shared.errors import NotFound, Unavailable
from shared.schema.message import Message

TIMEOUT_SECONDS = 30.0


class PubSubPublisher:
    """Publishes messages with the trace of the current invocation (port `Publisher`)."""

    def __init__(self, project: str) -> None:
        self._project = project

    @cached_property
    def _client(self) -> pubsub_v1.PublisherClient:
        # Each message is awaited: a linger would only delay it.
        return pubsub_v1.PublisherClient(batch_settings=pubsub_v1.types.BatchSettings(max_latency=0.001))

    def publish(self, message: Message) -> str:
        try:
            return self.publish_again(message.topic, message.model_dump_json().encode(), trace.current().attributes())
        except NotFound as error:
            # What the code publishes to is declared, so it is about to be deployed.
            raise Unavailable("Pub/Sub is not available", topic=message.topic, cause=error.reason) from error

    def publish_again(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        try:
            future = self._client.publish(self._client.topic_path(self._project, topic), data, **attributes)
            return str(future.result(timeout=TIMEOUT_SECONDS))
        except exceptions.NotFound as error:
            raise NotFound("no such topic", topic=topic) from error
        except (exceptions.GoogleAPICallError, TimeoutError) as error:
            raise Unavailable("Pub/Sub is not available", topic=topic, cause=type(error).__name__) from error
