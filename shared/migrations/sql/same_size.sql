SELECT
  (SELECT COUNT(*) AS row_count FROM `{{ new }}`) AS new_rows,
  (SELECT COUNT(*) AS row_count FROM `{{ old }}`) AS old_rows
