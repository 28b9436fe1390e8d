-- What went in and what came out, per entity type: rows, and a measure that no aggregation may change.
{% for entity in entities %}
SELECT
  '{{ entity.entity_type }}' AS entity_type,
  taken.rows_in, taken.measure_in, made.rows_out, made.measure_out, made.unmapped
FROM (
  SELECT COUNT(*) AS rows_in, COALESCE(SUM({{ entity.measure_in }}), 0) AS measure_in
  FROM `{{ dataset }}.{{ entity.table }}` AS raw
  WHERE raw.date IN UNNEST(@days)
) AS taken
CROSS JOIN (
  SELECT
    COUNT(*) AS rows_out,
    COALESCE(SUM({{ entity.measure_out }}), 0) AS measure_out,
    COALESCE(SUM(IF(known.entity_id IS NULL, 1, 0)), 0) AS unmapped
  FROM `{{ dataset }}.daily_entity_metrics` AS metrics
  LEFT JOIN `{{ dataset }}.entity_map` AS known
    ON known.entity_type = metrics.entity_type AND known.entity_id = metrics.entity_id
  WHERE metrics.date IN UNNEST(@days) AND metrics.entity_type = '{{ entity.entity_type }}'
) AS made
{% if not loop.last %}
UNION ALL
{% endif %}
{% endfor %}
