{# One pass over the partitions that the windows need; a row for each entity that may be judged, the others as one. #}
WITH days AS (
  SELECT
    metrics.entity_type,
    metrics.entity_id,
    DATE_DIFF(@as_of, metrics.date, DAY) AS ago
    {% for name in labels %}
    , JSON_VALUE(metrics.attributes, '$.{{ name }}') AS {{ name }}
    {% endfor %}
    {% for name, sql in metrics %}
    , CAST({{ sql }} AS FLOAT64) AS {{ name }}
    {% endfor %}
  FROM `{{ table }}` AS metrics
  WHERE (
    {% for range in ranges %}
    {{ "OR " if not loop.first }}(metrics.date BETWEEN @{{ range.name }}_first AND @{{ range.name }}_last AND metrics.entity_type IN ({{ range.types }}))
    {% endfor %}
  )
  -- Days of events that the tenant expects (a sale, a release) are in no window; the data's own health is.
  AND (metrics.entity_type IN ({{ percepts }}) OR metrics.date NOT IN UNNEST(@left_out))
),
{% if volumes %}
volumes AS (
  SELECT
    entity_type,
    entity_id,
    CASE entity_type
      {% for entity_type, condition in volumes %}
      WHEN '{{ entity_type }}' THEN {{ condition }}
      {% endfor %}
      ELSE TRUE
    END AS is_judged
  FROM days
  GROUP BY entity_type, entity_id
),
{% endif %}
folded AS (
  SELECT
    days.entity_type,
    {{ "IF(volumes.is_judged, days.entity_id, NULL)" if volumes else "days.entity_id" }} AS entity_id,
    days.ago
    {% for name in labels %}
    , MAX({{ name }}) AS {{ name }}
    {% endfor %}
    {% for name, _ in metrics %}
    , SUM({{ name }}) AS {{ name }}
    {% endfor %}
  FROM days
  {% if volumes %}
  JOIN volumes ON volumes.entity_type = days.entity_type AND volumes.entity_id = days.entity_id
  {% endif %}
  GROUP BY days.entity_type, {{ "IF(volumes.is_judged, days.entity_id, NULL)" if volumes else "days.entity_id" }}, days.ago
)
SELECT
  entity_type,
  entity_id,
  MAX(ago) AS oldest
  {% for block in blocks %}
  , BIT_OR(IF(DIV(ago, 60) = {{ block }}, 1 << MOD(ago, 60), 0)) AS present_{{ block }}
  {% endfor %}
  {% for name in labels %}
  , MAX_BY({{ name }}, IF({{ name }} IS NULL, NULL, -ago)) AS label_{{ name }}
  {% endfor %}
  {% for span in spans %}
  , COUNTIF({{ span.holds }}) AS seen_{{ span.key }}
  {% for name in span.summed %}
  , SUM(IF({{ span.holds }}, {{ name }}, NULL)) AS sum_{{ span.key }}_{{ name }}
  , COUNT(IF({{ span.holds }}, {{ name }}, NULL)) AS days_{{ span.key }}_{{ name }}
  {% endfor %}
  {% for name in span.mean %}
  , AVG(IF({{ span.holds }}, {{ name }}, NULL)) AS mean_{{ span.key }}_{{ name }}
  {% endfor %}
  {% for name in span.max %}
  , MAX(IF({{ span.holds }}, {{ name }}, NULL)) AS max_{{ span.key }}_{{ name }}
  {% endfor %}
  {% for name in span.min %}
  , MIN(IF({{ span.holds }}, {{ name }}, NULL)) AS min_{{ span.key }}_{{ name }}
  {% endfor %}
  {% for name in span.last %}
  , MAX_BY({{ name }}, IF({{ span.holds }} AND {{ name }} IS NOT NULL, -ago, NULL)) AS last_{{ span.key }}_{{ name }}
  {% endfor %}
  {% endfor %}
  {% if listed %}
  -- Single days, newest first, for what a sum cannot tell: weekdays, medians, trends, resampling.
  , ARRAY_AGG(IF({{ is_listed }}, ago, NULL) IGNORE NULLS ORDER BY ago) AS list_ago
  {% for name in listed %}
  , ARRAY_AGG(IF({{ is_listed }}, IFNULL({{ name }}, CAST('NaN' AS FLOAT64)), NULL) IGNORE NULLS ORDER BY ago) AS list_{{ name }}
  {% endfor %}
  {% endif %}
FROM folded
GROUP BY entity_type, entity_id
