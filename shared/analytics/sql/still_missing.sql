-- What is missing of each collection, as the newest day tells; how much of it is in the raw tables and in no metrics.
SELECT
  metrics.entity_id AS collection_name,
  SAFE_CAST(JSON_VALUE(metrics.attributes, '$.rows_missing') AS INT64) AS missing,
  COALESCE(ledger.unaggregated, 0) AS unaggregated
FROM `{{ dataset }}.daily_entity_metrics` AS metrics
LEFT JOIN (
  SELECT days.collection_name, SUM(GREATEST(days.row_count - days.aggregated, 0)) AS unaggregated
  FROM `{{ dataset }}.arrival_ledger` AS days
  GROUP BY days.collection_name
) AS ledger ON ledger.collection_name = metrics.entity_id
WHERE metrics.date = @day AND metrics.entity_type = 'arrival'
