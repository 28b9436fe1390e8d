-- What is missing of each collection as far as is known now, on each of the days: of the newest sync, rows that the source
-- reported and did not give; of all days, documents that were written and are no rows yet, and rows that the metrics do not
-- hold.
WITH counted AS (
  SELECT
    counts.subject,
    counts.run_id,
    MAX(IF(counts.stage = 'sync', counts.rows_in, NULL)) AS reported,
    MAX(IF(counts.stage = 'sync', GREATEST(counts.rows_in - counts.rows_out, 0), 0)) AS withheld,
    MAX(IF(counts.stage = 'stream', counts.rows_in, 0)) AS written,
    MAX(counts.counted_at) AS counted_at
  FROM `{{ dataset }}.stage_counts` AS counts
  WHERE counts.stage IN ('sync', 'stream')
  GROUP BY counts.subject, counts.run_id
),
newest AS (
  SELECT counted.subject, counted.reported, counted.withheld, counted.written
  FROM counted
  QUALIFY ROW_NUMBER() OVER (PARTITION BY counted.subject ORDER BY counted.counted_at DESC) = 1
),
lost AS (
  SELECT
    ledger.collection_name,
    SUM(
      LEAST(
        GREATEST(ledger.written - ledger.arrived - ledger.refused, 0),
        GREATEST(ledger.written + ledger.unchanged - ledger.refused - COALESCE(ledger.row_count, 0), 0)
      )
      + COALESCE(GREATEST(ledger.row_count - ledger.aggregated, 0), 0)
    ) AS documents
  FROM `{{ dataset }}.arrival_ledger` AS ledger
  GROUP BY ledger.collection_name
)
SELECT
  day AS date,
  newest.subject AS entity_id,
  JSON_OBJECT(
    'rows_expected', GREATEST(COALESCE(newest.reported, 0), newest.written, COALESCE(lost.documents, 0)),
    'rows_missing', newest.withheld + COALESCE(lost.documents, 0)
  ) AS attributes
FROM newest
LEFT JOIN lost ON lost.collection_name = newest.subject
CROSS JOIN UNNEST(@days) AS day
