CREATE TABLE IF NOT EXISTS `{{ into }}`
OPTIONS (expiration_timestamp = TIMESTAMP '{{ expires_at }}') AS
WITH
  names AS (
    SELECT REPLACE(document_name, '/', CHR(1)) AS position, schema_version IS NULL AS adopted
    FROM `{{ base }}`
    WHERE REGEXP_CONTAINS(document_name, @pattern)
    UNION ALL
    SELECT REPLACE(document_name, '/', CHR(1)) AS position, schema_version IS NULL AS adopted
    FROM `{{ log }}`
    WHERE appended_at >= @tail_from AND REGEXP_CONTAINS(document_name, @pattern)
  ),
  counted AS (
    SELECT
      COALESCE(LOGICAL_OR(adopted), FALSE) AS adopted,
      GREATEST(COUNT(*), 1) AS row_count,
      APPROX_QUANTILES(position, {{ most }}) AS points
    FROM names
  )
SELECT
  adopted,
  -- Each so many-th point, so that about one page lies between two; the first and the last are the ends.
  ARRAY(
    SELECT DISTINCT point
    FROM UNNEST(points) AS point WITH OFFSET AS number
    WHERE number > 0
      AND number < {{ most }}
      AND MOD(number, GREATEST(DIV(IF(adopted, {{ adopted_rows }}, {{ rows }}) * {{ most }}, row_count), 1)) = 0
    ORDER BY point
  ) AS edges
FROM counted
