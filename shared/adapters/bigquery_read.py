"""Reading a table's columns through BigQuery's Storage Read API: REST answers a tenth as many rows a second."""

from typing import Any

import grpc
import numpy as np
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

from shared.schema.ports import Ragged


class TableReader:
    """Reads whole tables."""

    def __init__(self, client: BigQueryReadClient, project: str) -> None:
        self._client = client
        self._project = project

    @classmethod
    def connect(cls, project: str, plaintext_endpoint: str) -> "TableReader":
        """A client; an endpoint that is given is plaintext and takes anonymous callers."""
        if plaintext_endpoint:
            channel = grpc.insecure_channel(plaintext_endpoint, [("grpc.max_receive_message_length", -1)])
            return cls(BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel)), project)
        return cls(BigQueryReadClient(), project)

    def columns(self, name: str) -> dict[str, Any]:
        """A table's columns as numpy arrays: NULL of a number is NaN, of a text None; lists of numbers are Ragged."""
        dataset, table = name.split(".")
        path = f"projects/{self._project}/datasets/{dataset}/tables/{table}"
        session = self._client.create_read_session(
            parent=f"projects/{self._project}",
            read_session=types.ReadSession(table=path, data_format=types.DataFormat.ARROW),
            max_stream_count=1,
        )
        schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
        batches = []
        for stream in session.streams:
            for answer in self._client.read_rows(stream.name):
                if answer.row_count:
                    data = pa.py_buffer(answer.arrow_record_batch.serialized_record_batch)
                    batches.append(pa.ipc.read_record_batch(data, schema))
        whole = pa.Table.from_batches(batches, schema)
        return {field.name: _array(whole.column(field.name)) for field in schema}


def _array(column: "pa.ChunkedArray") -> Any:
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], column.type)
    if pa.types.is_list(whole.type):
        lengths = np.asarray(whole.value_lengths().fill_null(0))
        return Ragged(_array(pa.chunked_array([whole.flatten()])), np.concatenate([[0], np.cumsum(lengths)]))
    if pa.types.is_integer(whole.type) and whole.null_count:
        whole = whole.cast(pa.float64())
    return whole.to_numpy(zero_copy_only=False)
