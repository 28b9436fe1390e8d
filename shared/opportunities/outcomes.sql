-- One statement for all due opportunities: their metric by week before (0 to 3) and after (4 to 7), of the entity
-- itself and of all others of its type summed, and how the peers of its size moved. Nobody is a peer who was touched.
WITH due AS (
  SELECT
    JSON_VALUE(entry, '$.opportunity_id') AS opportunity_id,
    JSON_VALUE(entry, '$.entity_type') AS entity_type,
    JSON_VALUE(entry, '$.entity_id') AS entity_id,
    JSON_VALUE(entry, '$.metric') AS metric,
    JSON_VALUE(entry, '$.is_rate') = 'true' AS is_rate,
    CAST(JSON_VALUE(entry, '$.numerator_plus') AS FLOAT64) AS numerator_plus,
    CAST(JSON_VALUE(entry, '$.denominator_plus') AS FLOAT64) AS denominator_plus,
    CAST(JSON_VALUE(entry, '$.before_first') AS DATE) AS before_first,
    CAST(JSON_VALUE(entry, '$.before_last') AS DATE) AS before_last,
    CAST(JSON_VALUE(entry, '$.after_first') AS DATE) AS after_first,
    CAST(JSON_VALUE(entry, '$.after_last') AS DATE) AS after_last
  FROM UNNEST(JSON_EXTRACT_ARRAY(@due)) AS entry
),
touched AS (
  SELECT JSON_VALUE(entry, '$.opportunity_id') AS opportunity_id, JSON_VALUE(entry, '$.entity_id') AS entity_id
  FROM UNNEST(JSON_EXTRACT_ARRAY(@touched)) AS entry
),
days AS (
  SELECT
    due.opportunity_id,
    metrics.entity_id,
    metrics.entity_id = due.entity_id AS is_own,
    IF(
      metrics.date <= due.before_last,
      DIV(DATE_DIFF(metrics.date, due.before_first, DAY), 7),
      4 + DIV(DATE_DIFF(metrics.date, due.after_first, DAY), 7)
    ) AS week,
    CASE due.metric
{% for metric in metrics %}
      WHEN '{{ metric.name }}' THEN CAST(metrics.{{ metric.numerator }} AS FLOAT64)
{% endfor %}
    END AS numerator,
    CASE due.metric
{% for metric in metrics if metric.denominator %}
      WHEN '{{ metric.name }}' THEN CAST(metrics.{{ metric.denominator }} AS FLOAT64)
{% endfor %}
      ELSE 1.0
    END AS denominator
  FROM due
  JOIN `{{ dataset }}.daily_entity_metrics` AS metrics
    ON metrics.entity_type = due.entity_type AND (
      metrics.date BETWEEN due.before_first AND due.before_last
      OR metrics.date BETWEEN due.after_first AND due.after_last
    )
  LEFT JOIN touched ON touched.opportunity_id = due.opportunity_id AND touched.entity_id = metrics.entity_id
  WHERE metrics.date BETWEEN @first AND @last AND touched.entity_id IS NULL
),
weeks AS (
  SELECT opportunity_id, entity_id, is_own, week, SUM(numerator) AS numerator, SUM(denominator) AS denominator
  FROM days
  WHERE numerator IS NOT NULL AND denominator IS NOT NULL
  GROUP BY opportunity_id, entity_id, is_own, week
),
windows AS (
  SELECT
    weeks.opportunity_id,
    weeks.entity_id,
    weeks.is_own,
    due.is_rate,
    SUM(IF(week < 4, numerator, NULL)) + MAX(due.numerator_plus) AS before_numerator,
    SUM(IF(week < 4, denominator, NULL)) + MAX(due.denominator_plus) AS before_denominator,
    SUM(IF(week >= 4, numerator, NULL)) + MAX(due.numerator_plus) AS after_numerator,
    SUM(IF(week >= 4, denominator, NULL)) + MAX(due.denominator_plus) AS after_denominator
  FROM weeks
  JOIN due ON due.opportunity_id = weeks.opportunity_id
  GROUP BY weeks.opportunity_id, weeks.entity_id, weeks.is_own, due.is_rate
),
ratios AS (
  SELECT
    opportunity_id,
    is_own,
    IF(is_rate, before_denominator, before_numerator) AS size,
    LN(after_numerator / before_numerator) - IF(is_rate, LN(after_denominator / before_denominator), 0) AS log_ratio
  FROM windows
  WHERE before_numerator > 0 AND after_numerator > 0 AND before_denominator > 0 AND after_denominator > 0
),
peers AS (
  SELECT
    peer.opportunity_id,
    COUNT(*) AS peers,
    AVG(peer.log_ratio) AS mean,
    STDDEV_SAMP(peer.log_ratio) AS deviation
  FROM ratios AS peer
  JOIN ratios AS own ON own.opportunity_id = peer.opportunity_id AND own.is_own
  WHERE NOT peer.is_own AND peer.size BETWEEN own.size / {{ sizes }} AND own.size * {{ sizes }}
  GROUP BY peer.opportunity_id
)
SELECT
  weeks.opportunity_id,
  weeks.week,
  SUM(IF(weeks.is_own, weeks.numerator, NULL)) AS own_numerator,
  SUM(IF(weeks.is_own, weeks.denominator, NULL)) AS own_denominator,
  SUM(IF(weeks.is_own, NULL, weeks.numerator)) AS site_numerator,
  SUM(IF(weeks.is_own, NULL, weeks.denominator)) AS site_denominator,
  MAX(peers.peers) AS peers,
  MAX(peers.mean) AS mean,
  MAX(peers.deviation) AS deviation
FROM weeks
LEFT JOIN peers ON peers.opportunity_id = weeks.opportunity_id
GROUP BY weeks.opportunity_id, weeks.week
ORDER BY weeks.opportunity_id, weeks.week
