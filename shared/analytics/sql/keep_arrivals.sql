{% set owed %}
IF(
    target.run_id = source.run_id,
    GREATEST(target.written - source.written, 0),
    LEAST(
      GREATEST(target.written - target.arrived - target.refused, 0),
      GREATEST(target.written + target.unchanged - target.refused - COALESCE(target.row_count, 0), 0)
    )
  )
{%- endset %}
-- The newest sync that wrote documents of a day tells what became of them; one that found them all there tells nothing.
-- What was lost before it, and is no row yet, it has not brought by finding it written: that counts as written still.
MERGE `{{ dataset }}.arrival_ledger` AS target
USING (
  SELECT
    JSON_VALUE(entry, '$.tenant_id') AS tenant_id,
    JSON_VALUE(entry, '$.source') AS source,
    JSON_VALUE(entry, '$.collection_name') AS collection_name,
    CAST(JSON_VALUE(entry, '$.date') AS DATE) AS day,
    JSON_VALUE(entry, '$.run_id') AS run_id,
    CAST(JSON_VALUE(entry, '$.written') AS INT64) AS written,
    CAST(JSON_VALUE(entry, '$.unchanged') AS INT64) AS unchanged,
    CAST(JSON_VALUE(entry, '$.arrived') AS INT64) AS arrived,
    CAST(JSON_VALUE(entry, '$.refused') AS INT64) AS refused,
    TIMESTAMP(JSON_VALUE(entry, '$.updated_at')) AS updated_at
  FROM UNNEST(JSON_EXTRACT_ARRAY(@rows)) AS entry
) AS source
ON target.date BETWEEN @first_day AND @last_day
  AND target.collection_name = source.collection_name
  AND target.date = source.day
WHEN MATCHED AND source.written > 0 THEN UPDATE SET
  source = source.source,
  run_id = source.run_id,
  written = source.written + {{ owed }},
  unchanged = GREATEST(source.unchanged - {{ owed }}, 0),
  arrived = source.arrived,
  refused = source.refused,
  updated_at = source.updated_at
WHEN NOT MATCHED THEN INSERT
  (tenant_id, source, collection_name, date, run_id, written, unchanged, arrived, refused, updated_at, schema_version)
VALUES (
  source.tenant_id, source.source, source.collection_name, source.day, source.run_id, source.written, source.unchanged,
  source.arrived, source.refused, source.updated_at, 1
)
