-- What changed since the last run: the days that rows tell of (of an invalid document, the day that its raw data tells),
-- and since when something that lasts stands otherwise: since its own day where it is new, else since it was written.
{% for table in tables %}
SELECT DISTINCT '{{ table.name }}' AS table_name, changes.day, changes.stands_since
FROM (
  {% if table.dated %}
  SELECT
    dated.day,
    {% if table.lasting %}
    IF(dated.is_new, dated.day, GREATEST(dated.day, dated.written)) AS stands_since
    {% else %}
    dated.day AS stands_since
    {% endif %}
  FROM (
    SELECT
      COALESCE(
        log.date,
        SAFE_CAST(JSON_VALUE(log.data, '$.date') AS DATE),
        SAFE_CAST(JSON_VALUE(log.old_data, '$.date') AS DATE)
      ) AS day,
      CAST(log.timestamp AS DATE) AS written,
      log.old_data IS NULL AS is_new
    FROM `{{ dataset }}.{{ table.name }}_raw_changelog` AS log
    WHERE log.appended_at >= @since
  ) AS dated
  WHERE dated.day IS NOT NULL
  {% else %}
  SELECT
    CAST(NULL AS DATE) AS day,
    LEAST(
      CAST(log.timestamp AS DATE),
      IF(log.old_data IS NULL, COALESCE(CAST(log.created_at AS DATE), CAST(log.timestamp AS DATE)), CAST(log.timestamp AS DATE))
      {%- if table.published %},
      -- What was published before it came to be known, or is told to have been, has days since then.
      IF(
        COALESCE(JSON_VALUE(log.old_data, '$.published_at'), '') = COALESCE(JSON_VALUE(log.data, '$.published_at'), '')
        AND COALESCE(JSON_VALUE(log.old_data, '$.status'), '') = COALESCE(JSON_VALUE(log.data, '$.status'), '')
        AND log.old_data IS NOT NULL,
        CAST(log.timestamp AS DATE),
        COALESCE(CAST(log.published_at AS DATE), CAST(log.timestamp AS DATE))
      )
      {%- endif %}

    ) AS stands_since
  FROM `{{ dataset }}.{{ table.name }}_raw_changelog` AS log
  WHERE log.appended_at >= @since
  {% endif %}
) AS changes
{% if not loop.last %}
UNION DISTINCT
{% endif %}
{% endfor %}
