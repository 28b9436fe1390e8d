{% from "analytics/sql/ads/parts.jinja" import campaign, campaigns, money, summed %}
{% from "analytics/sql/raw.jinja" import rows %}
SELECT
  raw.date,
  raw.ad_group_id AS entity_id,
  SUM(raw.impressions) AS impressions,
  SUM(raw.clicks) AS clicks,
  {{ money("raw.cost") }} AS cost,
  JSON_OBJECT(
    'ads_conversions', {{ summed("raw.conversions") }},
    'ads_value', {{ money("raw.conversions_value") }},
    'campaign', MAX({{ campaign() }}),
    'title', MAX(raw.ad_group_name)
  ) AS attributes
FROM {{ rows(dataset, "google_ads_ad_groups") }} AS raw
LEFT JOIN {{ campaigns(dataset, "google_ads") }} AS campaigns ON campaigns.alias = raw.campaign_id
WHERE raw.date IN UNNEST(@days)
GROUP BY raw.date, raw.ad_group_id
