-- What went in and what came out, per entity type: rows, and a measure that no aggregation may change.
WITH taken AS (
{% for entity in entities %}
  SELECT
    '{{ entity.entity_type }}' AS entity_type,
    COUNT(*) AS rows_in,
    COALESCE(SUM({{ entity.measure_in }}), 0) AS measure_in
  FROM `{{ dataset }}.{{ entity.table }}` AS raw
  WHERE raw.date IN UNNEST(@days)
  {% if not loop.last %}
  UNION ALL
  {% endif %}
{% endfor %}
),
made AS (
  SELECT
    metrics.entity_type,
    COUNT(*) AS rows_out,
    COALESCE(SUM(
      CASE metrics.entity_type
        {% for entity in entities %}
        WHEN '{{ entity.entity_type }}' THEN {{ entity.measure_out }}
        {% endfor %}
      END
    ), 0) AS measure_out,
    SUM(IF(known.entity_id IS NULL, 1, 0)) AS unmapped
  FROM `{{ dataset }}.daily_entity_metrics` AS metrics
  LEFT JOIN `{{ dataset }}.entity_map` AS known
    ON known.entity_type = metrics.entity_type AND known.entity_id = metrics.entity_id
  WHERE metrics.date IN UNNEST(@days)
  GROUP BY metrics.entity_type
)
SELECT
  taken.entity_type,
  taken.rows_in,
  taken.measure_in,
  COALESCE(made.rows_out, 0) AS rows_out,
  COALESCE(made.measure_out, 0) AS measure_out,
  COALESCE(made.unmapped, 0) AS unmapped
FROM taken
LEFT JOIN made ON made.entity_type = taken.entity_type
ORDER BY taken.entity_type
