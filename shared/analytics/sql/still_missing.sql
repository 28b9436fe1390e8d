-- What is missing of each collection, as the newest day tells.
SELECT
  metrics.entity_id AS collection_name,
  SAFE_CAST(JSON_VALUE(metrics.attributes, '$.rows_missing') AS INT64) AS missing
FROM `{{ dataset }}.daily_entity_metrics` AS metrics
WHERE metrics.date = @day AND metrics.entity_type = 'arrival'
