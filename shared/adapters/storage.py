"""Cloud Storage through the official client."""

from collections.abc import Iterator

from google.api_core import exceptions
from google.cloud import storage
from requests.exceptions import RequestException

from shared.errors import Unavailable

TIMEOUT_SECONDS = 30.0


class StorageObjects:
    """One bucket (port `Objects`)."""

    def __init__(self, bucket: storage.Bucket) -> None:
        self._bucket = bucket

    @classmethod
    def connect(cls, project: str, bucket: str) -> "StorageObjects":
        """A bucket by name; the client itself honours STORAGE_EMULATOR_HOST."""
        return cls(storage.Client(project=project).bucket(bucket))

    def put_if_absent(self, name: str, data: bytes, content_type: str = "application/json") -> bool:
        try:
            self._bucket.blob(name).upload_from_string(
                data, content_type=content_type, if_generation_match=0, timeout=TIMEOUT_SECONDS
            )
        except exceptions.PreconditionFailed:
            return False
        except (exceptions.GoogleAPICallError, RequestException) as error:
            raise Unavailable("Cloud Storage is not available", cause=type(error).__name__) from error
        return True

    def get(self, name: str) -> bytes | None:
        try:
            found: bytes = self._bucket.blob(name).download_as_bytes(timeout=TIMEOUT_SECONDS)
        except exceptions.NotFound:
            return None
        except (exceptions.GoogleAPICallError, RequestException) as error:
            raise Unavailable("Cloud Storage is not available", cause=type(error).__name__) from error
        return found

    def names(self, prefix: str = "") -> Iterator[str]:
        """Names of the objects that begin so."""
        try:
            for blob in self._bucket.list_blobs(prefix=prefix, timeout=TIMEOUT_SECONDS):
                yield blob.name
        except (exceptions.GoogleAPICallError, RequestException) as error:
            raise Unavailable("Cloud Storage is not available", cause=type(error).__name__) from error

    def delete(self, name: str) -> None:
        """Delete the object, or nothing."""
        try:
            self._bucket.blob(name).delete(timeout=TIMEOUT_SECONDS)
        except exceptions.NotFound:
            return
        except (exceptions.GoogleAPICallError, RequestException) as error:
            raise Unavailable("Cloud Storage is not available", cause=type(error).__name__) from error
