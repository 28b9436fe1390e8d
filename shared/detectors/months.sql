-- Whole months of what is judged by the year, from the rollup; a row an entity, its months newest first.
SELECT
  metrics.entity_type,
  metrics.entity_id,
  ARRAY_AGG(DATE_DIFF(@month, metrics.month, MONTH) ORDER BY metrics.month DESC) AS list_ago
  , ARRAY_AGG(CAST(metrics.days AS FLOAT64) ORDER BY metrics.month DESC) AS list_days
  {% for name, sql in metrics %}
  , ARRAY_AGG(IFNULL(CAST({{ sql }} AS FLOAT64), CAST('NaN' AS FLOAT64)) ORDER BY metrics.month DESC) AS list_{{ name }}
  {% endfor %}
FROM `{{ table }}` AS metrics
WHERE metrics.month BETWEEN @months_first AND @months_last
  AND metrics.entity_type IN ({{ types }})
GROUP BY metrics.entity_type, metrics.entity_id
