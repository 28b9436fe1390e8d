{% from "analytics/sql/ads/parts.jinja" import campaign, campaigns, money, summed %}
{% from "analytics/sql/raw.jinja" import rows %}
-- A search in one ad group: in another it is another, with other ads and another status.
SELECT
  raw.date,
  CONCAT(raw.search_term, ' | ', raw.ad_group_id) AS entity_id,
  SUM(raw.impressions) AS impressions,
  SUM(raw.clicks) AS clicks,
  {{ money("raw.cost") }} AS cost,
  JSON_OBJECT(
    'ads_conversions', {{ summed("raw.conversions") }},
    'ads_value', {{ money("raw.conversions_value") }},
    'ad_group', MAX(raw.ad_group_id),
    'campaign', MAX({{ campaign() }}),
    -- Both a keyword of ours and a negative one: it is excluded.
    'term_status', MAX(IF(raw.status = 'ADDED_EXCLUDED', 'EXCLUDED', raw.status))
  ) AS attributes
FROM {{ rows(dataset, "google_ads_search_terms") }} AS raw
LEFT JOIN {{ campaigns(dataset, "google_ads") }} AS campaigns ON campaigns.alias = raw.campaign_id
WHERE raw.date IN UNNEST(@days)
GROUP BY raw.date, entity_id
