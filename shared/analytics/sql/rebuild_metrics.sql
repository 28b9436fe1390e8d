-- Rebuilds one entity type's rows of the given days: what changed is updated, what is gone is deleted, the rest stays
-- as it is, so that a rerun changes nothing. One statement, so that a crash leaves either the old rows or the new.
MERGE `{{ dataset }}.daily_entity_metrics` AS target
USING (
  SELECT
    made.date AS metric_date,
    made.entity_id,
    {% for column in columns %}
    made.{{ column }},
    {% endfor %}
    @tenant_id AS tenant_id
  FROM (
{{ select }}
  ) AS made
) AS source
ON target.date BETWEEN @first_day AND @last_day
  AND target.date = source.metric_date
  AND target.entity_type = '{{ entity_type }}'
  AND target.entity_id = source.entity_id
WHEN MATCHED AND (
  {% for column in columns %}
  {{ "TO_JSON_STRING(target.%s) != TO_JSON_STRING(source.%s)" | format(column, column) if column == "attributes"
     else "target.%s IS DISTINCT FROM source.%s" | format(column, column) }}{{ " OR" if not loop.last }}
  {% endfor %}
) THEN UPDATE SET
  {% for column in columns %}
  {{ column }} = source.{{ column }},
  {% endfor %}
  updated_at = @now,
  schema_version = {{ schema_version }}
WHEN NOT MATCHED BY TARGET THEN INSERT (
  tenant_id, date, entity_type, entity_id, {{ columns | join(", ") }}, updated_at, schema_version
) VALUES (
  source.tenant_id, source.metric_date, '{{ entity_type }}', source.entity_id,
  {% for column in columns %}source.{{ column }}, {% endfor %}@now, {{ schema_version }}
)
WHEN NOT MATCHED BY SOURCE
  AND target.date IN UNNEST(@days) AND target.entity_type = '{{ entity_type }}' THEN DELETE
