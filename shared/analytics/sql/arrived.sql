-- Documents of one sync that reached the log, by day, and those that were refused among them: each as often as the sync
-- wrote it, however often it was told, whatever wrote it again since.
{% for name in tables %}
SELECT
  '{{ name }}' AS collection_name,
  COALESCE(log.date, SAFE_CAST(JSON_VALUE(log.data, '$.date') AS DATE)) AS day,
  COUNT(DISTINCT IF(log.refused_reason IS NULL, CONCAT(log.document_name, ' ', COALESCE(CAST(log.synced_at AS STRING), '')), NULL))
    AS arrived,
  COUNT(DISTINCT IF(log.refused_reason IS NULL, NULL, CONCAT(log.document_name, ' ', COALESCE(JSON_VALUE(log.data, '$.synced_at'), ''))))
    AS refused
FROM `{{ dataset }}.{{ name }}_raw_changelog` AS log
WHERE log.appended_at >= @since
  AND COALESCE(log.sync_run_id, JSON_VALUE(log.data, '$.sync_run_id')) = @run_id
GROUP BY day
{% if not loop.last %}
UNION ALL
{% endif %}
{% endfor %}
