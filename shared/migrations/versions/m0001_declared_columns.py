"""Tables of tenants that were provisioned before have every column that is declared now."""

from shared.migrations.columns import AddColumns
from shared.migrations.step import Migration
from shared.schema.registry import records

MIGRATION = Migration(
    (AddColumns(tuple(record for record in records() if record.table is not None)),),
    note="every table has the columns that its record declares",
)
