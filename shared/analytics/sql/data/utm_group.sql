-- Campaigns whose names are equal in small letters, without blanks around them and with dashes for underscores; in how
-- many ways each was written in the 28 days until then, and the visits of all but the most frequent of them.
WITH spelled AS (
  SELECT
    raw.date AS day,
    raw.session_campaign_name AS name,
    REPLACE(LOWER(TRIM(raw.session_campaign_name)), '_', '-') AS campaign,
    SUM(raw.sessions) AS sessions
  FROM `{{ dataset }}.ga_traffic_sources` AS raw
  WHERE raw.date BETWEEN DATE_SUB(@first_day, INTERVAL 27 DAY) AND @last_day
    -- (direct), (not set): nobody wrote these.
    AND NOT STARTS_WITH(raw.session_campaign_name, '(')
    AND TRIM(raw.session_campaign_name) <> ''
  GROUP BY day, name, campaign
),
lately AS (
  SELECT
    calendar_day AS until,
    spelled.campaign,
    spelled.name,
    SUM(spelled.sessions) AS sessions,
    SUM(IF(spelled.day = calendar_day, spelled.sessions, 0)) AS sessions_of_day
  FROM UNNEST(@days) AS calendar_day
  INNER JOIN spelled ON spelled.day BETWEEN DATE_SUB(calendar_day, INTERVAL 27 DAY) AND calendar_day
  GROUP BY until, spelled.campaign, spelled.name
),
placed AS (
  SELECT
    lately.until,
    lately.campaign,
    lately.sessions_of_day,
    ROW_NUMBER() OVER (PARTITION BY lately.until, lately.campaign ORDER BY lately.sessions DESC, lately.name) AS place
  FROM lately
)
SELECT
  placed.until AS date,
  placed.campaign AS entity_id,
  SUM(placed.sessions_of_day) AS sessions,
  JSON_OBJECT(
    'minor_sessions', SUM(IF(placed.place = 1, 0, placed.sessions_of_day)),
    'spellings', COUNT(*)
  ) AS attributes
FROM placed
GROUP BY placed.until, placed.campaign
