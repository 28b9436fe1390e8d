SELECT
  (SELECT COUNT(*) FROM `{{ view }}` AS seen) AS row_count,
  (SELECT COUNT(*) FROM `{{ log }}` AS log WHERE log.appended_at >= @tail_from) AS tail_count,
  (
    SELECT COUNTIF(refused_reason IS NOT NULL AND NOT deleted)
    FROM (
      SELECT refused_reason, deleted
      FROM (
        SELECT document_name, version, deleted, refused_reason, appended_at FROM `{{ base }}`
        UNION ALL
        SELECT document_name, version, deleted, refused_reason, appended_at
        FROM `{{ log }}`
        WHERE appended_at >= @tail_from AND operation != 'EXPIRE'
      )
      QUALIFY
        ROW_NUMBER() OVER (
          PARTITION BY document_name ORDER BY version DESC, deleted DESC, refused_reason IS NULL DESC, appended_at
        ) = 1
    )
  ) AS refused_count
