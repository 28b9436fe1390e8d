"""Times as they are stored."""

from datetime import UTC, datetime

from google.api_core.datetime_helpers import DatetimeWithNanoseconds
from google.cloud.firestore_v1._helpers import encode_value

from shared.schema.times import hour_of


def test_the_hour_of_what_firestore_gave_can_be_written_to_firestore():
    given = DatetimeWithNanoseconds(2026, 11, 21, 23, 59, 59, 999_999, tzinfo=UTC)
    hour = hour_of(given)
    assert hour == datetime(2026, 11, 21, 23, tzinfo=UTC)
    assert encode_value(hour).timestamp_value == hour
