MERGE `{{ dataset }}.stage_counts` AS target
USING (
  SELECT
    JSON_VALUE(entry, '$.run_id') AS run_id,
    JSON_VALUE(entry, '$.stage') AS stage,
    JSON_VALUE(entry, '$.subject') AS subject,
    JSON_VALUE(entry, '$.tenant_id') AS tenant_id,
    CAST(JSON_VALUE(entry, '$.rows_in') AS INT64) AS rows_in,
    CAST(JSON_VALUE(entry, '$.rows_out') AS INT64) AS rows_out,
    CAST(JSON_VALUE(entry, '$.rows_refused') AS INT64) AS rows_refused,
    JSON_VALUE(entry, '$.note') AS note,
    TIMESTAMP(JSON_VALUE(entry, '$.counted_at')) AS counted_at
  FROM UNNEST(JSON_EXTRACT_ARRAY(@counts)) AS entry
) AS source
ON target.run_id = source.run_id AND target.stage = source.stage AND target.subject = source.subject
WHEN MATCHED THEN UPDATE SET
  rows_in = source.rows_in,
  rows_out = source.rows_out,
  rows_refused = source.rows_refused,
  note = source.note,
  counted_at = source.counted_at
WHEN NOT MATCHED THEN INSERT
  (run_id, stage, subject, tenant_id, rows_in, rows_out, rows_refused, note, counted_at, schema_version)
VALUES
  (run_id, stage, subject, tenant_id, rows_in, rows_out, rows_refused, note, counted_at, 1)
