-- How many rows the raw tables hold of each of the days.
{% for name in tables %}
SELECT '{{ name }}' AS collection_name, raw.date AS day, COUNT(*) AS row_count
FROM `{{ dataset }}.{{ name }}` AS raw
WHERE raw.date IN UNNEST(@days)
GROUP BY raw.date
{% if not loop.last %}
UNION ALL
{% endif %}
{% endfor %}
