{% for name in tables %}
SELECT raw.date, '{{ name }}' AS entity_id, JSON_OBJECT('row_count', COUNT(*)) AS attributes
FROM `{{ dataset }}.{{ name }}` AS raw
WHERE raw.date IN UNNEST(@days)
GROUP BY raw.date
{% if not loop.last %}
UNION ALL
{% endif %}
{% endfor %}
