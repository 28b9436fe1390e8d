-- Of days of the ledger: how many rows there are, and how many of them the metrics hold. Of a table that no entity adds up
-- the metrics hold what is there; where nothing was made anew, what they held.
MERGE `{{ dataset }}.arrival_ledger` AS target
USING (
  SELECT
    JSON_VALUE(entry, '$.collection_name') AS collection_name,
    CAST(JSON_VALUE(entry, '$.day') AS DATE) AS day,
    CAST(JSON_VALUE(entry, '$.row_count') AS INT64) AS row_count,
    CAST(JSON_VALUE(entry, '$.aggregated') AS INT64) AS aggregated
  FROM UNNEST(JSON_EXTRACT_ARRAY(@rows)) AS entry
) AS source
ON target.date BETWEEN @first_day AND @last_day
  AND target.collection_name = source.collection_name
  AND target.date = source.day
WHEN MATCHED THEN UPDATE SET
  row_count = source.row_count,
  aggregated = COALESCE(
    source.aggregated, IF(target.row_count = source.row_count, target.aggregated, NULL), source.row_count
  )
