{# One pass over the partitions that the windows need. Each family of entities is folded and summed by itself; a row for
   each entity that may be judged, and one for the others of its type together. What is not known is NaN: arrays hold no
   NULL, and a sum over a day that was not measured is not known either. #}
WITH
{% for family in families %}
{{ ", " if not loop.first }}days_{{ family.name }} AS (
  SELECT
    metrics.entity_type,
    metrics.entity_id,
    DATE_DIFF(@as_of, metrics.date, DAY) AS ago
    {# An attribute is looked for only where it may be: most of the pass would be spent on texts that lack it. #}
    {% for name, types in family.labels %}
    , IF(metrics.entity_type IN ({{ types }}), JSON_VALUE(metrics.attributes, '$.{{ name }}'), NULL) AS {{ name }}
    {% endfor %}
    {% for name, sql, types in family.metrics %}
    {% if "attributes" in sql %}
    , IF(metrics.entity_type IN ({{ types }}), {{ sql }}, NULL) AS {{ name }}
    {% else %}
    , CAST({{ sql }} AS FLOAT64) AS {{ name }}
    {% endif %}
    {% endfor %}
  FROM `{{ table }}` AS metrics
  WHERE metrics.date BETWEEN @first_day AND @last_day
  AND metrics.entity_type IN ({{ family.types }})
  {# Days of events that the tenant expects (a sale, a release) are in no window; the data's own health is. #}
  AND (metrics.entity_type IN ({{ percepts }}) OR metrics.date NOT IN UNNEST(@left_out))
)
{% if family.volumes %}
, volumes_{{ family.name }} AS (
  SELECT
    entity_type,
    entity_id,
    CASE entity_type
      {% for entity_type, condition in family.volumes %}
      WHEN '{{ entity_type }}' THEN {{ condition }}
      {% endfor %}
      ELSE TRUE
    END AS is_judged
  FROM days_{{ family.name }}
  GROUP BY entity_type, entity_id
)
{% endif %}
, {{ family.name }} AS (
  SELECT
    days.entity_type,
    {{ family.entity_id }} AS entity_id,
    days.ago
    {% for name, _ in family.labels %}
    , MAX({{ name }}) AS {{ name }}
    {% endfor %}
    {% for name, _, _ in family.metrics %}
    , IFNULL(SUM({{ name }}), CAST('NaN' AS FLOAT64)) AS {{ name }}
    {% endfor %}
    {% for span in family.spans %}
    , days.{{ span.holds }} AS in_{{ span.key }}
    {% endfor %}
    {% if family.listed %}
    , {{ family.is_listed }} AS is_listed
    {% endif %}
  FROM days_{{ family.name }} AS days
  {% if family.volumes %}
  JOIN volumes_{{ family.name }} AS volumes
    ON volumes.entity_type = days.entity_type AND volumes.entity_id = days.entity_id
  {% endif %}
  GROUP BY days.entity_type, {{ family.entity_id }}, days.ago
)
{% endfor %}
{% for family in families %}
{% if not loop.first %}
UNION ALL
{% endif %}
SELECT
  '{{ family.name }}' AS family,
  entity_type,
  entity_id,
  MAX(ago) AS oldest
  {% for block in blocks %}
  , BIT_OR(IF(DIV(ago, 60) = {{ block }}, 1 << MOD(ago, 60), 0)) AS present_{{ block }}
  {% endfor %}
  , [
    ''{% for name, _ in family.labels %}, IFNULL(MAX_BY({{ name }}, IF({{ name }} IS NULL, NULL, -ago)), ''){% endfor %}

  ] AS labels
  , [
    0.0
    {% for span in family.spans %}
    {% set held = "in_" ~ span.key %}
    , CAST(COUNTIF({{ held }}) AS FLOAT64)
    {% for name in span.sum %}
    , SUM(IF({{ held }}, {{ name }}, 0))
    {% endfor %}
    {% for kind in ("mean", "max", "min") %}
    {% for name in span[kind] %}
    , IFNULL({{ "AVG" if kind == "mean" else kind | upper }}(IF({{ held }} AND NOT IS_NAN({{ name }}), {{ name }}, NULL)), CAST('NaN' AS FLOAT64))
    {% endfor %}
    {% endfor %}
    {% for name in span.last %}
    , IFNULL(MAX_BY({{ name }}, IF({{ held }} AND NOT IS_NAN({{ name }}), -ago, NULL)), CAST('NaN' AS FLOAT64))
    {% endfor %}
    {% endfor %}
  ] AS numbers
  {# Single days, for what a sum cannot tell: weekdays, medians, trends, resampling. #}
  {% if family.listed %}
  , ARRAY_AGG(IF(is_listed, ago, NULL) IGNORE NULLS ORDER BY ago) AS list_ago
  {# A metric that is not asked of a type has no list at all there, and with one NULL all that is joined is NULL. #}
  , ARRAY_CONCAT(
    {% for name, types in family.listed %}
    IFNULL(ARRAY_AGG(IF(is_listed{{ types }}, {{ name }}, NULL) IGNORE NULLS ORDER BY ago), ARRAY<FLOAT64>[]){{ "," if not loop.last }}
    {% endfor %}
  ) AS list_values
  {% else %}
  , ARRAY<INT64>[] AS list_ago
  , ARRAY<FLOAT64>[] AS list_values
  {% endif %}
FROM {{ family.name }}
GROUP BY entity_type, entity_id
{% endfor %}
