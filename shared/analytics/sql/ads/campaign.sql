{% from "analytics/sql/ads/parts.jinja" import campaign, campaigns, known, money, possible, summed %}
{% from "analytics/sql/raw.jinja" import days_read, rows %}
-- What a campaign brought as Google Analytics counts it, and what it cost and brought as Google Ads does.
WITH visits AS (
  SELECT
    raw.date,
    COALESCE(campaigns.name, raw.session_campaign_name) AS entity_id,
    SUM(raw.total_users) AS users,
    SUM(raw.new_users) AS new_users,
    SUM(raw.sessions) AS sessions,
    SUM(raw.engaged_sessions) AS engaged_sessions,
    SUM(raw.sessions) - SUM(raw.engaged_sessions) AS bounces,
    {{ summed("raw.key_events") }} AS conversions,
    {{ summed("raw.purchase_revenue") }} AS revenue
  FROM {{ rows(dataset, "ga_traffic_sources") }} AS raw
  LEFT JOIN {{ campaigns(dataset, "ga4") }} AS campaigns ON campaigns.alias = raw.session_campaign_name
  WHERE raw.date IN UNNEST(@days)
  GROUP BY raw.date, entity_id
),
-- Each campaign by itself: its devices share its budget.
bought AS (
  SELECT
    raw.date,
    raw.campaign_id,
    raw.campaign_name,
    SUM(raw.impressions) AS impressions,
    SUM(raw.clicks) AS clicks,
    {{ money("raw.cost") }} AS cost,
    {{ summed("raw.conversions") }} AS conversions,
    {{ money("raw.conversions_value") }} AS value,
    MAX(IF(raw.currency = @currency, raw.daily_budget, NULL)) AS daily_budget,
    {{ summed(possible()) }} AS possible,
    {{ summed("raw.search_lost_is_budget * " ~ possible()) }} AS lost_to_budget,
    {{ summed("raw.search_lost_is_rank * " ~ possible()) }} AS lost_to_rank
  FROM {{ rows(dataset, "google_ads_campaigns") }} AS raw
  WHERE raw.date IN UNNEST(@days)
  GROUP BY raw.date, raw.campaign_id, raw.campaign_name
),
ads AS (
  SELECT
    raw.date,
    {{ campaign() }} AS entity_id,
    SUM(raw.impressions) AS impressions,
    SUM(raw.clicks) AS clicks,
    {{ summed("raw.cost") }} AS cost,
    {{ summed("raw.conversions") }} AS conversions,
    {{ summed("raw.value") }} AS value,
    {{ summed("raw.daily_budget") }} AS daily_budget,
    SAFE_DIVIDE({{ summed("raw.lost_to_budget") }}, {{ summed("raw.possible") }}) AS lost_to_budget,
    SAFE_DIVIDE({{ summed("raw.lost_to_rank") }}, {{ summed("raw.possible") }}) AS lost_to_rank
  FROM bought AS raw
  LEFT JOIN {{ campaigns(dataset, "google_ads") }} AS campaigns ON campaigns.alias = raw.campaign_id
  GROUP BY raw.date, entity_id
),
visited AS (
{{ days_read(dataset, "ga_traffic_sources") }}
),
advertised AS (
{{ days_read(dataset, "google_ads_campaigns") }}
)
SELECT
  COALESCE(visits.date, ads.date) AS date,
  COALESCE(visits.entity_id, ads.entity_id) AS entity_id,
  {{ known("visits", "users", "visited") }} AS users,
  {{ known("visits", "new_users", "visited") }} AS new_users,
  {{ known("visits", "sessions", "visited") }} AS sessions,
  {{ known("visits", "engaged_sessions", "visited") }} AS engaged_sessions,
  {{ known("visits", "bounces", "visited") }} AS bounces,
  {{ known("visits", "conversions", "visited") }} AS conversions,
  {{ known("visits", "revenue", "visited") }} AS revenue,
  {{ known("ads", "impressions", "advertised") }} AS impressions,
  {{ known("ads", "clicks", "advertised") }} AS clicks,
  {{ known("ads", "cost", "advertised") }} AS cost,
  JSON_OBJECT(
    'ads_conversions', {{ known("ads", "conversions", "advertised") }},
    'ads_value', {{ known("ads", "value", "advertised") }},
    'daily_budget', ads.daily_budget,
    -- Google spends up to twice the budget on a day, and no more than 30.4 times in a month.
    'monthly_budget', ads.daily_budget * 30.4,
    'lost_is_budget', ads.lost_to_budget,
    'lost_is_rank', ads.lost_to_rank
  ) AS attributes
FROM visits
FULL JOIN ads ON ads.date = visits.date AND ads.entity_id = visits.entity_id
LEFT JOIN visited ON visited.day = COALESCE(visits.date, ads.date)
LEFT JOIN advertised ON advertised.day = COALESCE(visits.date, ads.date)
