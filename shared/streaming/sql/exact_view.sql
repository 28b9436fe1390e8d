WITH
  tail AS (
    SELECT {{ columns | join(", ") }}, deleted, refused_reason
    FROM `{{ log }}`
    WHERE appended_at >= TIMESTAMP '{{ tail_from }}' AND operation != 'EXPIRE'
    QUALIFY
      ROW_NUMBER() OVER (
        PARTITION BY document_name ORDER BY version DESC, deleted DESC, refused_reason IS NULL DESC, appended_at
      ) = 1
  ),
  newer AS (
    SELECT tail.*
    FROM tail
    LEFT JOIN `{{ base }}` AS base ON base.document_name = tail.document_name
    WHERE base.document_name IS NULL
      OR tail.version > base.version
      OR (
        tail.version = base.version
        AND NOT base.deleted
        AND (tail.deleted OR (tail.refused_reason IS NULL AND base.refused_reason IS NOT NULL))
      )
  )
SELECT {% for column in columns %}base.{{ column }}{{ ", " if not loop.last }}{% endfor %}

FROM `{{ base }}` AS base
LEFT JOIN newer ON newer.document_name = base.document_name
WHERE newer.document_name IS NULL AND NOT base.deleted AND base.refused_reason IS NULL
UNION ALL
SELECT {{ columns | join(", ") }}
FROM newer
WHERE NOT deleted AND refused_reason IS NULL
