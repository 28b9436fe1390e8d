{% from "analytics/sql/ads/parts.jinja" import campaign, campaigns, money, summed %}
{% from "analytics/sql/raw.jinja" import rows %}
SELECT
  raw.date,
  CONCAT({{ campaign() }}, ' | ', LOWER(raw.device)) AS entity_id,
  SUM(raw.impressions) AS impressions,
  SUM(raw.clicks) AS clicks,
  {{ money("raw.cost") }} AS cost,
  JSON_OBJECT(
    'ads_conversions', {{ summed("raw.conversions") }},
    'ads_value', {{ money("raw.conversions_value") }},
    'campaign', ANY_VALUE({{ campaign() }}),
    'device', ANY_VALUE(LOWER(raw.device))
  ) AS attributes
FROM {{ rows(dataset, "google_ads_campaigns") }} AS raw
LEFT JOIN {{ campaigns(dataset, "google_ads") }} AS campaigns ON campaigns.alias = raw.campaign_id
WHERE raw.date IN UNNEST(@days)
GROUP BY raw.date, entity_id
