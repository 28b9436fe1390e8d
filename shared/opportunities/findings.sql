-- The findings of one run. A run that was delivered twice may have loaded them twice: the newest of each counts.
SELECT
  run_id, detector_id, entity_type, entity_id, direction, tenant_id, as_of, opportunity_type, title,
  confidence_score, severity, estimated_value, recommendation, evidence, p_value, q_value,
  change, cause, part_of, IFNULL(keyword, '') AS keyword, content_id, estimated_traffic, estimated_difficulty,
  IFNULL(ranking, 0.0) AS ranking, found_at
FROM `{{ dataset }}.detector_findings`
WHERE as_of = @as_of AND run_id = @run_id
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY detector_id, entity_type, entity_id, direction ORDER BY found_at DESC
) = 1
