-- Rebuilds the rows of whole months from their days: what changed is updated, what is gone is deleted, the rest stays as
-- it is, so that a rerun changes nothing. Sums go through NUMERIC: those of FLOAT64 differ with the order of the rows.
-- Keys of `attributes` come as parameters, so that the text does not grow with them.
MERGE `{{ dataset }}.monthly_entity_metrics` AS target
USING (
  WITH daily AS (
    SELECT
      CAST(DATE_TRUNC(metrics.date, MONTH) AS DATE) AS month,
      metrics.date,
      metrics.entity_type,
      metrics.entity_id,
      {% for name in metrics %}
      metrics.{{ name }},
      {% endfor %}
      metrics.attributes
    FROM `{{ dataset }}.daily_entity_metrics` AS metrics
    WHERE metrics.date BETWEEN @first_day AND @last_day
  ),
  attribute AS (
    SELECT
      daily.month,
      daily.entity_type,
      daily.entity_id,
      key,
      IF(
        key IN UNNEST(@flows),
        TO_JSON_STRING(CAST(SUM(SAFE_CAST(JSON_VALUE(daily.attributes[key]) AS NUMERIC)) AS FLOAT64)),
        MAX_BY(TO_JSON_STRING(daily.attributes[key]), daily.date)
      ) AS json
    FROM daily
    CROSS JOIN UNNEST(JSON_KEYS(daily.attributes, 1)) AS key
    WHERE key IN UNNEST(@keys) AND JSON_VALUE(daily.attributes[key]) IS NOT NULL
    GROUP BY daily.month, daily.entity_type, daily.entity_id, key
  ),
  described AS (
    SELECT
      attribute.month,
      attribute.entity_type,
      attribute.entity_id,
      STRING_AGG(CONCAT('"', attribute.key, '":', attribute.json), ',' ORDER BY attribute.key) AS members
    FROM attribute
    WHERE attribute.json <> 'null'
    GROUP BY attribute.month, attribute.entity_type, attribute.entity_id
  ),
  measured AS (
    SELECT
      daily.month,
      daily.entity_type,
      daily.entity_id,
      {% for name, kind in metrics.items() %}
      {% if kind == "mean" %}
      CAST(AVG(SAFE_CAST(daily.{{ name }} AS NUMERIC)) AS FLOAT64) AS {{ name }},
      {% elif kind == "latest" %}
      MAX_BY(daily.{{ name }}, IF(daily.{{ name }} IS NULL, NULL, daily.date)) AS {{ name }},
      {% elif kind == "INT64" %}
      SUM(daily.{{ name }}) AS {{ name }},
      {% else %}
      CAST(SUM(SAFE_CAST(daily.{{ name }} AS NUMERIC)) AS FLOAT64) AS {{ name }},
      {% endif %}
      {% endfor %}
      COUNT(DISTINCT daily.date) AS days
    FROM daily
    GROUP BY daily.month, daily.entity_type, daily.entity_id
  )
  SELECT measured.*, PARSE_JSON(CONCAT('{', described.members, '}')) AS attributes
  FROM measured
  LEFT JOIN described
    ON described.month = measured.month
    AND described.entity_type = measured.entity_type
    AND described.entity_id = measured.entity_id
) AS source
ON target.month BETWEEN @first_day AND @last_day
  AND target.month = source.month
  AND target.entity_type = source.entity_type
  AND target.entity_id = source.entity_id
WHEN MATCHED AND target.month BETWEEN @first_day AND @last_day AND (
  {% for name in metrics %}
  target.{{ name }} IS DISTINCT FROM source.{{ name }} OR
  {% endfor %}
  target.days IS DISTINCT FROM source.days
  OR TO_JSON_STRING(target.attributes) IS DISTINCT FROM TO_JSON_STRING(source.attributes)
) THEN UPDATE SET
  {% for name in metrics %}
  {{ name }} = source.{{ name }},
  {% endfor %}
  days = source.days,
  attributes = source.attributes,
  updated_at = @now,
  schema_version = {{ schema_version }}
WHEN NOT MATCHED BY TARGET THEN INSERT (
  tenant_id, month, entity_type, entity_id, days, {{ metrics | join(", ") }}, attributes, updated_at, schema_version
) VALUES (
  @tenant_id, source.month, source.entity_type, source.entity_id, source.days,
  {% for name in metrics %}source.{{ name }}, {% endfor %}source.attributes, @now, {{ schema_version }}
)
WHEN NOT MATCHED BY SOURCE AND target.month BETWEEN @first_day AND @last_day THEN DELETE
