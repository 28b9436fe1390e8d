"""Tables of tenants that were provisioned before have the reports and columns of all five sources."""

from shared.migrations.columns import AddColumns
from shared.migrations.step import Migration
from shared.schema.registry import records

MIGRATION = Migration(
    (AddColumns(tuple(record for record in records() if record.table is not None)),),
    note="five sources: new tables, and columns that the reports of Google Analytics had not",
)
