INSERT INTO `{{ log }}` ({{ columns | join(", ") }})
WITH
  known AS (
    SELECT document_name, MAX(version) AS version
    FROM (
      SELECT document_name, version FROM `{{ log }}` WHERE operation != 'EXPIRE'
      UNION ALL
      SELECT document_name, version FROM `{{ base }}`
    )
    GROUP BY document_name
  ),
  newest AS (
    SELECT {{ columns | join(", ") }}
    FROM `{{ staging }}`
    WHERE {{ "ABS(MOD(FARM_FINGERPRINT(document_name), @portions)) = @portion" if portioned else "TRUE" }}
    QUALIFY ROW_NUMBER() OVER (PARTITION BY document_name ORDER BY version DESC, appended_at) = 1
  )
SELECT {% for column in columns %}{{ "CURRENT_TIMESTAMP() AS appended_at" if column == "appended_at" else "newest." + column }}{{ ", " if not loop.last }}{% endfor %}

FROM newest
LEFT JOIN known ON known.document_name = newest.document_name
WHERE known.version IS NULL OR newest.version > known.version
