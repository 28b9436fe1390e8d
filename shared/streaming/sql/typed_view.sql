SELECT
{% for column in typed %}
  {{ column }},
{% endfor %}
  {{ columns | join(", ") }}
FROM (
{{ exact }}
) AS exact
