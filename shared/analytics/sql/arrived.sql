-- Documents of one sync that are in the exact views, and those that were refused.
{% for name in tables %}
SELECT
  '{{ name }}' AS collection_name,
  (SELECT COUNT(*) FROM `{{ dataset }}.{{ name }}` AS live WHERE live.sync_run_id = @run_id) AS arrived,
  (
    SELECT COUNT(DISTINCT log.document_name)
    FROM `{{ dataset }}.{{ name }}_raw_changelog` AS log
    WHERE log.appended_at >= @since
      AND log.refused_reason IS NOT NULL
      AND JSON_VALUE(log.data, '$.sync_run_id') = @run_id
  ) AS refused
{% if not loop.last %}
UNION ALL
{% endif %}
{% endfor %}
