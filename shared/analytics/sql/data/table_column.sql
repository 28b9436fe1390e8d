-- Rows of each day, and those of them without a value in a column that is hardly ever empty. Google Analytics says
-- (not set) where it has none.
SELECT
  counted.day AS date,
  CONCAT(counted.name, '.', part.name) AS entity_id,
  JSON_OBJECT('null_count', part.null_count, 'row_count', counted.row_count) AS attributes
FROM (
{% for table in tables if table.watched %}
  SELECT
    raw.date AS day,
    '{{ table.name }}' AS name,
    COUNT(*) AS row_count,
    [
      {% for column, is_text in table.watched.items() %}
      STRUCT(
        '{{ column }}' AS name,
        COUNTIF({{ "COALESCE(raw." ~ column ~ ", '') IN ('', '(not set)')" if is_text else "raw." ~ column ~ " IS NULL" }}) AS null_count
      ){{ "," if not loop.last }}
      {% endfor %}
    ] AS parts
  FROM `{{ dataset }}.{{ table.name }}` AS raw
  WHERE raw.date IN UNNEST(@days)
  GROUP BY raw.date
  {% if not loop.last %}
  UNION ALL
  {% endif %}
{% endfor %}
) AS counted
CROSS JOIN UNNEST(counted.parts) AS part
