-- Rebuilds the rows of the given days: what changed is updated, what is gone is deleted, the rest stays as it is, so
-- that a rerun changes nothing. One statement for all entity types: a crash leaves either the old rows or the new. The
-- range of days stands in each WHEN that touches the target, too: what is not matched by the source is an outer join,
-- whose ON prunes no partition.
MERGE `{{ dataset }}.daily_entity_metrics` AS target
USING (
{% for entity in entities %}
  SELECT
    '{{ entity.entity_type }}' AS entity_type,
    made.date AS metric_date,
    made.entity_id,
    {% for name, type in columns.items() %}
    {{ "made." ~ name if name in entity.columns else "CAST(NULL AS " ~ type ~ ") AS " ~ name }}{{ "," if not loop.last }}
    {% endfor %}
  FROM (
{{ entity.select }}
  ) AS made
  {% if not loop.last %}
  UNION ALL
  {% endif %}
{% endfor %}
) AS source
ON target.date BETWEEN @first_day AND @last_day
  AND target.date = source.metric_date
  AND target.entity_type = source.entity_type
  AND target.entity_id = source.entity_id
WHEN MATCHED AND target.date BETWEEN @first_day AND @last_day AND (
  {% for name, type in columns.items() %}
  {% if type == "JSON" %}
  TO_JSON_STRING(target.{{ name }}) IS DISTINCT FROM TO_JSON_STRING(source.{{ name }})
  {% else %}
  target.{{ name }} IS DISTINCT FROM source.{{ name }}
  {% endif %}
  {{ "OR" if not loop.last }}
  {% endfor %}
) THEN UPDATE SET
  {% for name in columns %}
  {{ name }} = source.{{ name }},
  {% endfor %}
  updated_at = @now,
  schema_version = {{ schema_version }}
WHEN NOT MATCHED BY TARGET THEN INSERT (
  tenant_id, date, entity_type, entity_id, {{ columns | join(", ") }}, updated_at, schema_version
) VALUES (
  @tenant_id, source.metric_date, source.entity_type, source.entity_id,
  {% for name in columns %}source.{{ name }}, {% endfor %}@now, {{ schema_version }}
)
WHEN NOT MATCHED BY SOURCE
  AND target.date BETWEEN @first_day AND @last_day
  AND target.date IN UNNEST(@days)
  AND target.entity_type IN ({% for entity in entities %}'{{ entity.entity_type }}'{{ ", " if not loop.last }}{% endfor %})
THEN DELETE
