SELECT COUNTIF(adopted) AS row_count
FROM `{{ fingerprints }}`
