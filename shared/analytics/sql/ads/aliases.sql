{% from "analytics/sql/ads/parts.jinja" import as_compared %}
{% from "analytics/sql/raw.jinja" import rows %}
-- Campaigns of Google Ads, by id, and campaigns of Google Analytics that are the same -> the name that the campaign had
-- first in Google Ads. So it stays one when it is renamed, and those of one name, one put in place of another, are one,
-- as they are in Google Analytics. Campaigns of Google Analytics that are none of Google Ads keep their name.
WITH named AS (
  SELECT
    raw.campaign_id,
    raw.campaign_name AS name,
    {{ as_compared("raw.campaign_name") }} AS spelled,
    MIN(raw.date) AS since,
    MAX(raw.date) AS until
  FROM {{ rows(dataset, "google_ads_campaigns") }} AS raw
  WHERE raw.date > DATE_SUB(@last_day, INTERVAL 800 DAY)
  GROUP BY raw.campaign_id, raw.campaign_name
),
campaigns AS (
  SELECT named.campaign_id, named.name
  FROM named
  QUALIFY ROW_NUMBER() OVER (PARTITION BY named.campaign_id ORDER BY named.since, named.name) = 1
),
visited AS (
  SELECT DISTINCT
    raw.session_campaign_name AS name,
    {{ as_compared("raw.session_campaign_name") }} AS spelled
  FROM {{ rows(dataset, "ga_traffic_sources") }} AS raw
  WHERE raw.date > DATE_SUB(@last_day, INTERVAL 430 DAY)
),
matched AS (
  SELECT visited.name AS visited_as, named.campaign_id, 'id' AS how, DATE '9999-12-31' AS until
  FROM visited
  INNER JOIN named ON named.campaign_id = visited.name
  UNION ALL
  SELECT visited.name, named.campaign_id, 'name', named.until
  FROM visited
  INNER JOIN named ON named.spelled = visited.spelled
),
-- A name that several campaigns had is that of the one that had it last.
same AS (
  SELECT matched.visited_as, matched.campaign_id, matched.how
  FROM matched
  QUALIFY ROW_NUMBER() OVER (PARTITION BY matched.visited_as ORDER BY matched.until DESC, matched.campaign_id DESC) = 1
),
-- Campaigns of mails, which Google Analytics may have, too.
mailed AS (
  SELECT DISTINCT {{ as_compared("COALESCE(sent.utm_campaign, sent.name)") }} AS spelled
  FROM (
    SELECT raw.utm_campaign, raw.name FROM `{{ dataset }}.ac_campaigns` AS raw
    UNION ALL
    SELECT raw.utm_campaign, raw.name FROM `{{ dataset }}.ac_automation_mails` AS raw
  ) AS sent
)
SELECT
  'campaign' AS entity_type,
  'google_ads' AS source,
  campaigns.campaign_id AS alias,
  campaigns.name AS entity_id,
  COALESCE(MIN(matched.how), 'own') AS how
FROM campaigns
LEFT JOIN matched ON matched.campaign_id = campaigns.campaign_id
GROUP BY campaigns.campaign_id, campaigns.name
UNION ALL
SELECT 'campaign', 'ga4', same.visited_as, campaigns.name, same.how
FROM same
INNER JOIN campaigns ON campaigns.campaign_id = same.campaign_id
UNION ALL
SELECT 'campaign', 'ga4', visited.name, visited.name, IF(MAX(mailed.spelled) IS NULL, 'own', 'utm')
FROM visited
LEFT JOIN matched ON matched.visited_as = visited.name
LEFT JOIN mailed ON mailed.spelled = visited.spelled
-- (direct), (not set): nobody named these.
WHERE matched.visited_as IS NULL AND visited.name <> '' AND NOT STARTS_WITH(visited.name, '(')
GROUP BY visited.name
