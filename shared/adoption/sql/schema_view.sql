SELECT
  log.document_name AS document_name,
  log.document_id AS document_id,
  log.timestamp AS timestamp,
  log.operation AS operation
{%- for column in plain %},
  {{ column.expression }} AS `{{ column.name }}`
{%- endfor %}
{%- for column in arrays %},
  {{ member(column.name ~ "_item") }} AS `{{ column.name }}_member`,
  {{ column.name }}_place AS `{{ column.name }}_index`
{%- endfor %}

FROM `{{ source }}` AS log
{% for column in arrays %}
LEFT JOIN UNNEST(JSON_QUERY_ARRAY(log.data, '{{ column.array }}')) AS {{ column.name }}_item WITH OFFSET AS {{ column.name }}_place
{% endfor %}
