-- Documents of one sync that reached the log, by day, and those that were refused among them: whatever wrote them again
-- since.
{% for name in tables %}
SELECT
  '{{ name }}' AS collection_name,
  COALESCE(log.date, SAFE_CAST(JSON_VALUE(log.data, '$.date') AS DATE)) AS day,
  COUNT(DISTINCT IF(log.refused_reason IS NULL, log.document_name, NULL)) AS arrived,
  COUNT(DISTINCT IF(log.refused_reason IS NULL, NULL, log.document_name)) AS refused
FROM `{{ dataset }}.{{ name }}_raw_changelog` AS log
WHERE log.appended_at >= @since
  AND COALESCE(log.sync_run_id, JSON_VALUE(log.data, '$.sync_run_id')) = @run_id
GROUP BY day
{% if not loop.last %}
UNION ALL
{% endif %}
{% endfor %}
