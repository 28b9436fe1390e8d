"""Each change once in the closed hours of a changelog. Delivery is at least once, so repeats are appended again."""

from datetime import datetime, timedelta

from shared.schema.ports import Warehouse
from shared.schema.record import Record
from shared.schema.sql import render
from shared.schema.times import hour_of
from shared.streaming.tables import BEGINNING, log_table

# A trigger retries for 24 hours: a repeat is found among the rows of that time.
LOOK_BACK = timedelta(hours=25)


def compact(
    warehouse: Warehouse, record: type[Record], log: str, compacted_until: datetime | None, covered: datetime
) -> tuple[datetime | None, int]:
    """Remove repeats from the hours that ended before `covered`; until when hours are compact, and rows removed.

    The earliest row of a change stays. One statement replaces the span that has repeats: it happens wholly or not
    at all, and a second run finds nothing to do. A repeat that comes more than 25 hours later (a replayed dead
    letter) stays in the log; the view and the base hold it once all the same.
    """
    closed_until = hour_of(covered)
    if compacted_until is not None and closed_until <= compacted_until:
        return compacted_until, 0
    closed_from = compacted_until or BEGINNING
    span = {
        "closed_from": closed_from,
        "closed_until": closed_until,
        "looked_back_to": max(BEGINNING, closed_from - LOOK_BACK) if compacted_until else BEGINNING,
    }
    found = warehouse.query(render("streaming/sql/duplicates.sql", log=log), **span)[0]
    if not found["row_count"]:
        return closed_until, 0
    # Only the hours that hold repeats are rewritten.
    span["closed_from"] = hour_of(found["first_at"])
    span["closed_until"] = hour_of(found["last_at"]) + timedelta(hours=1)
    warehouse.execute(render("streaming/sql/compact.sql", log=log, columns=log_table(record).column_names()), **span)
    return closed_until, int(found["row_count"])
