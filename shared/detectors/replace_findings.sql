-- Writes findings of one run; the first portion clears what the run had written before, so that a repeat is the same.
MERGE `{{ table }}` AS target
USING (
  SELECT
    JSON_VALUE(entry, '$.run_id') AS run_id,
    JSON_VALUE(entry, '$.detector_id') AS detector_id,
    JSON_VALUE(entry, '$.entity_type') AS entity_type,
    JSON_VALUE(entry, '$.entity_id') AS entity_id,
    JSON_VALUE(entry, '$.direction') AS direction,
    JSON_VALUE(entry, '$.tenant_id') AS tenant_id,
    CAST(JSON_VALUE(entry, '$.as_of') AS DATE) AS as_of,
    JSON_VALUE(entry, '$.opportunity_type') AS opportunity_type,
    JSON_VALUE(entry, '$.title') AS title,
    CAST(JSON_VALUE(entry, '$.confidence_score') AS FLOAT64) AS confidence_score,
    JSON_VALUE(entry, '$.severity') AS severity,
    STRUCT(
      CAST(JSON_VALUE(entry, '$.estimated_value.low') AS FLOAT64) AS low,
      CAST(JSON_VALUE(entry, '$.estimated_value.mid') AS FLOAT64) AS mid,
      CAST(JSON_VALUE(entry, '$.estimated_value.high') AS FLOAT64) AS high,
      JSON_VALUE(entry, '$.estimated_value.currency') AS currency,
      JSON_VALUE(entry, '$.estimated_value.formula') AS formula,
      JSON_VALUE(entry, '$.estimated_value.reason') AS reason
    ) AS estimated_value,
    JSON_VALUE(entry, '$.recommendation') AS recommendation,
    PARSE_JSON(JSON_VALUE(entry, '$.evidence'), wide_number_mode => 'round') AS evidence,
    CAST(JSON_VALUE(entry, '$.p_value') AS FLOAT64) AS p_value,
    CAST(JSON_VALUE(entry, '$.q_value') AS FLOAT64) AS q_value,
    CAST(JSON_VALUE(entry, '$.change') AS FLOAT64) AS change,
    JSON_VALUE(entry, '$.cause') AS cause,
    JSON_VALUE(entry, '$.part_of') AS part_of,
    IFNULL(JSON_VALUE(entry, '$.keyword'), '') AS keyword,
    JSON_VALUE(entry, '$.content_id') AS content_id,
    CAST(JSON_VALUE(entry, '$.estimated_traffic') AS INT64) AS estimated_traffic,
    CAST(JSON_VALUE(entry, '$.estimated_difficulty') AS FLOAT64) AS estimated_difficulty,
    IFNULL(CAST(JSON_VALUE(entry, '$.ranking') AS FLOAT64), 0) AS ranking,
    TIMESTAMP(JSON_VALUE(entry, '$.found_at')) AS found_at
  FROM UNNEST(JSON_EXTRACT_ARRAY(@findings)) AS entry
) AS source
ON FALSE
WHEN NOT MATCHED BY SOURCE AND @clears AND target.as_of = @as_of AND target.run_id = @run_id THEN DELETE
WHEN NOT MATCHED BY TARGET THEN INSERT (
  run_id, detector_id, entity_type, entity_id, direction, tenant_id, as_of, opportunity_type, title,
  confidence_score, severity, estimated_value, recommendation, evidence, p_value, q_value,
  change, cause, part_of, keyword, content_id, estimated_traffic, estimated_difficulty, ranking, found_at, schema_version
) VALUES (
  run_id, detector_id, entity_type, entity_id, direction, tenant_id, as_of, opportunity_type, title,
  confidence_score, severity, estimated_value, recommendation, evidence, p_value, q_value,
  change, cause, part_of, keyword, content_id, estimated_traffic, estimated_difficulty, ranking, found_at, {{ schema_version }}
)
