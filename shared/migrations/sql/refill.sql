MERGE `{{ table }}` AS held
USING (
  SELECT document_name, version, schema_version, refused_reason, {{ columns | join(", ") }}
  FROM `{{ staging }}`
  WHERE event_id = @batch
  QUALIFY ROW_NUMBER() OVER (PARTITION BY document_name, version ORDER BY appended_at) = 1
) AS filled
ON held.document_name = filled.document_name AND held.version = filled.version
{% if by and null %}
  AND held.{{ by }} IS NULL
{% elif by %}
  AND held.{{ by }} >= @first AND held.{{ by }} < @end
{% endif %}
WHEN MATCHED AND NOT held.deleted AND IFNULL(held.schema_version, 0) < @wanted THEN
  UPDATE SET
{% for column in columns %}
    {{ column }} = filled.{{ column }},
{% endfor %}
    refused_reason = filled.refused_reason,
    schema_version = filled.schema_version
