SELECT
  timestamp,
  event_id,
{% if misnamed %}
  IF(
    operation = 'IMPORT',
    CONCAT('projects/{{ project }}/databases/{{ database }}/documents/', REGEXP_EXTRACT(document_name, r'/documents/(.*)$')),
    document_name
  ) AS document_name,
{% else %}
  document_name,
{% endif %}
  REGEXP_EXTRACT(document_name, r'[^/]+$') AS document_id,
  operation,
  data,
  {{ "old_data" if "old_data" in columns else "CAST(NULL AS STRING)" }} AS old_data,
  {{ "path_params" if "path_params" in columns else "CAST(NULL AS STRING)" }} AS path_params,
  operation = 'DELETE' AS deleted
FROM `{{ log }}`
WHERE {{ taken }}
