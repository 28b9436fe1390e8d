-- Of each day of the ledger that was made anew: how many rows its metrics were made of.
MERGE `{{ dataset }}.arrival_ledger` AS target
USING (
  SELECT
    metrics.date AS day,
    metrics.entity_id AS collection_name,
    SAFE_CAST(JSON_VALUE(metrics.attributes, '$.row_count') AS INT64) AS row_count
  FROM `{{ dataset }}.daily_entity_metrics` AS metrics
  WHERE metrics.date IN UNNEST(@days) AND metrics.entity_type = 'source_table'
) AS source
ON target.date BETWEEN @first_day AND @last_day
  AND target.collection_name = source.collection_name
  AND target.date = source.day
WHEN MATCHED AND target.aggregated IS DISTINCT FROM source.row_count THEN UPDATE SET aggregated = source.row_count
