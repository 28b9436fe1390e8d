SELECT
{% if by and kind == "TIMESTAMP" %}
  TIMESTAMP_TRUNC({{ by }}, {{ unit }}) AS first,
{% elif by %}
  {{ by }} AS first,
{% else %}
  CAST(NULL AS DATE) AS first,
{% endif %}
  COUNT(*) AS row_count,
  MAX(LENGTH(data)) AS largest
FROM `{{ table }}`
WHERE IFNULL(schema_version, 0) < @wanted AND data IS NOT NULL AND NOT deleted
GROUP BY 1
ORDER BY 1
