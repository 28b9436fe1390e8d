SELECT
  metrics.entity_type,
  ARRAY_AGG(DISTINCT DATE_DIFF(@as_of, metrics.date, DAY)) AS days
FROM `{{ table }}` AS metrics
WHERE (
{% for range in ranges %}
  {{ 'OR ' if not loop.first }}metrics.date BETWEEN @{{ range }}_first AND @{{ range }}_last
{% endfor %}
)
GROUP BY metrics.entity_type
