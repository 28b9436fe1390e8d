-- Days of the ledger that were made anew, and however old those of which something did not arrive.
SELECT
  ledger.collection_name,
  ledger.date AS day,
  ledger.written > ledger.arrived + ledger.refused AS is_open
FROM `{{ dataset }}.arrival_ledger` AS ledger
WHERE ledger.date IN UNNEST(@days) OR ledger.written > ledger.arrived + ledger.refused
