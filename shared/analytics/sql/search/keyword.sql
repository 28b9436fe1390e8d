{% from "analytics/sql/raw.jinja" import days_read, rows %}
{% from "analytics/sql/search/parts.jinja" import checks, conversions, pieces, position, queries, searches, spelled,
  term, tracked, visits %}
-- A tracked keyword has a row for each day that Search Console was read of, shown or not, and for every day where there
-- is no Search Console; another search for the days on which it was shown, where it is shown often.
WITH calendar AS (
  SELECT day FROM UNNEST(@days) AS day
),
searched AS (
  {{ days_read(dataset, "search_console_queries") }}
),
advertised AS (
  {{ days_read(dataset, "google_ads_campaigns") }}
),
visited AS (
  {{ days_read(dataset, "ga_landing_page_channels") }}
),
queries AS (
  {{ queries(dataset, days_before=27) }}
),
organic AS (
  {{ visits(dataset, "ga_landing_page_channels", "Organic Search") }}
),
tracked AS (
  {{ tracked(dataset) }}
),
pieces AS (
  {{ pieces(dataset) }}
),
spelled AS (
  {{ spelled(dataset) }}
),
checks AS (
  {{ checks() }}
),
searches AS (
  {{ searches() }}
),
conversions AS (
  {{ conversions("keyword") }}
),
top_ten AS (
  SELECT checks.day, checks.keyword, COUNTIF(checks.position <= 10) AS competitors
  FROM checks
  GROUP BY checks.day, checks.keyword
),
-- What people searched for; where Google Ads withholds it, what the keyword of just these words was shown for.
terms AS (
  SELECT
    raw.date AS day,
    {{ term("raw.search_term") }} AS keyword,
    SUM(raw.impressions) AS impressions,
    SUM(raw.clicks) AS clicks,
    SUM(IF(raw.currency = @currency, CAST(raw.cost AS NUMERIC), 0)) AS cost
  FROM {{ rows(dataset, "google_ads_search_terms") }} AS raw
  WHERE raw.date BETWEEN @first_day AND @last_day
  GROUP BY day, keyword
),
exact AS (
  SELECT
    raw.date AS day,
    {{ term("raw.keyword_text") }} AS keyword,
    SUM(raw.impressions) AS impressions,
    SUM(raw.clicks) AS clicks,
    SUM(IF(raw.currency = @currency, CAST(raw.cost AS NUMERIC), 0)) AS cost
  FROM {{ rows(dataset, "google_ads_keywords") }} AS raw
  WHERE raw.date BETWEEN @first_day AND @last_day AND raw.match_type = 'EXACT'
  GROUP BY day, keyword
),
ads AS (
  SELECT terms.day, terms.keyword, terms.impressions, terms.clicks, terms.cost
  FROM terms
  UNION ALL
  SELECT exact.day, exact.keyword, exact.impressions, exact.clicks, exact.cost
  FROM exact
  LEFT JOIN terms ON terms.day = exact.day AND terms.keyword = exact.keyword
  WHERE terms.keyword IS NULL
),
days_of AS (
  SELECT searched.day, tracked.keyword
  FROM searched
  CROSS JOIN tracked
  WHERE searched.day >= tracked.since AND (searched.is_read OR searched.is_silent)
  UNION DISTINCT
  SELECT searches.day, searches.keyword
  FROM searches
)
SELECT
  days_of.day AS date,
  days_of.keyword AS entity_id,
  IF(searched.is_read, COALESCE(searches.clicks, 0), NULL) AS clicks,
  IF(searched.is_read, COALESCE(searches.impressions, 0), NULL) AS impressions,
  {{ position("searches") }} AS position,
  IF(advertised.is_read, COALESCE(CAST(ads.cost AS FLOAT64), 0), NULL) AS cost,
  tracked.search_volume,
  tracked.difficulty_score AS difficulty,
  tracked.kgr_score AS kgr,
  JSON_OBJECT(
    'ads_clicks', IF(advertised.is_read, COALESCE(ads.clicks, 0), NULL),
    'ads_impressions', IF(advertised.is_read, COALESCE(ads.impressions, 0), NULL),
    'competitors_top10', top_ten.competitors,
    'content_id', tracked.content_id,
    'intent', tracked.intent,
    'organic_conversions', IF(searched.is_read AND visited.is_read, COALESCE(conversions.conversions, 0), NULL),
    'page', COALESCE(spelled.name, pieces.page)
  ) AS attributes
FROM days_of
INNER JOIN searched ON searched.day = days_of.day
INNER JOIN advertised ON advertised.day = days_of.day
INNER JOIN visited ON visited.day = days_of.day
LEFT JOIN searches ON searches.day = days_of.day AND searches.keyword = days_of.keyword
LEFT JOIN spelled ON spelled.path = searches.path
LEFT JOIN conversions ON conversions.day = days_of.day AND conversions.keyword = days_of.keyword
LEFT JOIN ads ON ads.day = days_of.day AND ads.keyword = days_of.keyword
LEFT JOIN tracked ON tracked.keyword = days_of.keyword AND tracked.since <= days_of.day
LEFT JOIN pieces ON pieces.content_id = tracked.content_id AND pieces.status = 'published'
LEFT JOIN top_ten ON top_ten.day = days_of.day AND top_ten.keyword = days_of.keyword
