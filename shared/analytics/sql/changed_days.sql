-- Days of documents that changed since the last run; of an invalid document, the day that its raw data tells.
{% for name in tables %}
SELECT DISTINCT changes.day
FROM (
  SELECT COALESCE(
    log.date,
    SAFE_CAST(JSON_VALUE(log.data, '$.date') AS DATE),
    SAFE_CAST(JSON_VALUE(log.old_data, '$.date') AS DATE)
  ) AS day
  FROM `{{ dataset }}.{{ name }}_raw_changelog` AS log
  WHERE log.appended_at >= @since
) AS changes
WHERE changes.day IS NOT NULL
{% if not loop.last %}
UNION DISTINCT
{% endif %}
{% endfor %}
