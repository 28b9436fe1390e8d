SELECT
  COUNT(*) AS row_count,
{% if partition %}
  SUM(IF({{ partition }} IS NULL, 1, 0)) AS unplaced_count,
  MIN({{ partition }}) AS first_partition,
  MAX({{ partition }}) AS last_partition
{% else %}
  0 AS unplaced_count
{% endif %}
FROM `{{ log }}`
WHERE appended_at >= @tail_from AND operation != 'EXPIRE'
