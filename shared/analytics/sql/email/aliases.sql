{% from "analytics/sql/email/parts.jinja" import spelled %}
{% from "analytics/sql/raw.jinja" import rows %}
-- Campaigns of ActiveCampaign, and mails of its automations -> campaigns as Google Analytics calls them: by the
-- utm_campaign of their links, by their name where the links carry none.
WITH mails AS (
  SELECT
    sent.campaign_id,
    MAX_BY(sent.utm_campaign, IF(sent.utm_campaign IS NULL, NULL, sent.date)) AS utm,
    MAX_BY(sent.name, sent.date) AS name
  FROM (
    SELECT raw.campaign_id, raw.utm_campaign, raw.name, raw.date
    FROM `{{ dataset }}.ac_campaigns` AS raw
    WHERE raw.date > DATE_SUB(@last_day, INTERVAL 430 DAY)
    UNION ALL
    SELECT raw.campaign_id, raw.utm_campaign, raw.name, raw.date
    FROM `{{ dataset }}.ac_automation_mails` AS raw
    WHERE raw.date > DATE_SUB(@last_day, INTERVAL 430 DAY)
  ) AS sent
  GROUP BY sent.campaign_id
),
visited AS (
  SELECT
    {{ spelled("raw.session_campaign_name") }} AS spelled,
    raw.session_campaign_name AS name,
    SUM(raw.sessions) AS sessions
  FROM {{ rows(dataset, "ga_traffic_sources") }} AS raw
  WHERE raw.date > DATE_SUB(@last_day, INTERVAL 430 DAY)
  GROUP BY spelled, name
),
-- Of several spellings of one name the one with the most visits.
campaigns AS (
  SELECT visited.spelled, visited.name
  FROM visited
  QUALIFY ROW_NUMBER() OVER (PARTITION BY visited.spelled ORDER BY visited.sessions DESC, visited.name) = 1
)
SELECT
  'campaign' AS entity_type,
  'activecampaign' AS source,
  mails.campaign_id AS alias,
  COALESCE(campaigns.name, mails.utm, mails.name) AS entity_id,
  CASE WHEN campaigns.name IS NULL THEN 'own' WHEN mails.utm IS NULL THEN 'name' ELSE 'utm' END AS how
FROM mails
LEFT JOIN campaigns ON campaigns.spelled = {{ spelled("COALESCE(mails.utm, mails.name)") }}
