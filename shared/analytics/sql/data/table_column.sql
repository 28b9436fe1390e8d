-- Rows of each day, and those of them without a value in a column that is hardly ever empty. Google Analytics says
-- (not set) where it has none.
{% set comma = joiner("UNION ALL") %}
{% for table in tables %}
{% for column, is_text in table.watched.items() %}
{{ comma() }}
SELECT
  raw.date,
  '{{ table.name }}.{{ column }}' AS entity_id,
  JSON_OBJECT(
    'null_count', COUNTIF({{ "COALESCE(raw." ~ column ~ ", '') IN ('', '(not set)')" if is_text else "raw." ~ column ~ " IS NULL" }}),
    'row_count', COUNT(*)
  ) AS attributes
FROM `{{ dataset }}.{{ table.name }}` AS raw
WHERE raw.date IN UNNEST(@days)
GROUP BY raw.date
{% endfor %}
{% endfor %}
