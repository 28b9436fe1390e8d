{% from "analytics/sql/raw.jinja" import rows %}
-- What went in and what came out, per measure and day: rows, and a sum that no aggregation may change; NULL where the
-- metrics do not tell of it.
WITH taken AS (
{% for measure in measures %}
  SELECT
    {{ loop.index0 }} AS measure,
    '{{ measure.entity_type }}' AS entity_type,
    raw.date AS day,
    COUNT(*) AS rows_in,
    COALESCE(SUM({{ measure.taken }}), 0) AS measure_in
  FROM {{ rows(dataset, measure.table) }} AS raw
  WHERE raw.date IN UNNEST(@days)
  GROUP BY raw.date
  {% if not loop.last %}
  UNION ALL
  {% endif %}
{% endfor %}
),
made AS (
  SELECT
    metrics.entity_type,
    metrics.date AS day,
    COUNT(*) AS rows_out,
    SUM(IF(known.entity_id IS NULL, 1, 0)) AS unmapped,
    {% for measure in measures %}
    SUM(IF(metrics.entity_type = '{{ measure.entity_type }}', {{ measure.made }}, NULL)) AS measure_{{ loop.index0 }}{{ "," if not loop.last }}
    {% endfor %}
  FROM `{{ dataset }}.daily_entity_metrics` AS metrics
  LEFT JOIN `{{ dataset }}.entity_map` AS known
    ON known.entity_type = metrics.entity_type AND known.entity_id = metrics.entity_id
  WHERE metrics.date IN UNNEST(@days) AND metrics.entity_type IN UNNEST(@types)
  GROUP BY metrics.entity_type, metrics.date
)
SELECT
  taken.measure,
  taken.day,
  taken.rows_in,
  taken.measure_in,
  COALESCE(made.rows_out, 0) AS rows_out,
  CASE taken.measure
    {% for measure in measures %}
    WHEN {{ loop.index0 }} THEN made.measure_{{ loop.index0 }}
    {% endfor %}
  END AS measure_out,
  COALESCE(made.unmapped, 0) AS unmapped
FROM taken
LEFT JOIN made ON made.entity_type = taken.entity_type AND made.day = taken.day
ORDER BY taken.measure, taken.day
