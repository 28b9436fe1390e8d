-- The arrival ledger of one source: its newest days, and however old those of which something did not come through.
SELECT
  ledger.collection_name,
  ledger.date,
  ledger.written,
  ledger.unchanged,
  ledger.arrived,
  ledger.refused,
  ledger.row_count,
  ledger.aggregated
FROM `{{ dataset }}.arrival_ledger` AS ledger
WHERE ledger.source = @source
  AND (ledger.date >= @since OR ledger.arrived < ledger.written OR ledger.aggregated < ledger.row_count)
ORDER BY ledger.date DESC, ledger.collection_name
LIMIT {{ most }}
