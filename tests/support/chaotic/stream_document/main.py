"""Production's stream_document, told that it is some hours later; two records of the tests are declared as well.

No record of the product expires or moves between partitions; and hours have to pass for a changelog to be compacted
while it is written.
"""

import os
import time

from shared.schema import registry
from tests.support.streaming import Note, Plain

product, real = registry.streamed_records(), time.time_ns
registry.streamed_records = lambda: (*product, Note, Plain)  # type: ignore[assignment]
time.time_ns = lambda: real() + int(os.environ["HOURS_AHEAD"]) * 3600 * 10**9

from functions.stream_document.main import stream_document  # noqa: E402, F401  only now: what it reads is as above
