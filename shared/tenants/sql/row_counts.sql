{% for table in tables %}
SELECT '{{ table }}' AS table_name, COUNT(*) AS row_count FROM `{{ dataset }}.{{ table }}`
{% if not loop.last %}
UNION ALL
{% endif %}
{% endfor %}
