{% from "analytics/sql/raw.jinja" import days_read %}
{% from "analytics/sql/search/parts.jinja" import pieces, visits %}
-- A hub and its spokes, those that are published, on days on which visits were read; a page counts once, however many
-- pieces it holds.
WITH calendar AS (
  SELECT day FROM UNNEST(@days) AS day
),
visited AS (
  {{ days_read(dataset, "ga_landing_pages") }}
),
visits AS (
  {{ visits(dataset, "ga_landing_pages") }}
),
pieces AS (
  {{ pieces(dataset) }}
),
members AS (
  SELECT
    calendar.day,
    pieces.topic,
    pieces.path,
    COUNT(*) AS pieces
  FROM calendar
  INNER JOIN pieces ON pieces.since <= calendar.day
  WHERE pieces.status = 'published' AND pieces.topic IS NOT NULL
  GROUP BY calendar.day, pieces.topic, pieces.path
)
SELECT
  members.day AS date,
  members.topic AS entity_id,
  IF(COUNT(members.path) > 0, COALESCE(SUM(visits.sessions), 0), NULL) AS sessions,
  IF(COUNT(members.path) > 0, COALESCE(SUM(visits.conversions), 0), NULL) AS conversions,
  JSON_OBJECT('pieces', SUM(members.pieces)) AS attributes
FROM members
INNER JOIN visited ON visited.day = members.day AND visited.is_read
LEFT JOIN visits ON visits.day = members.day AND visits.path = members.path
GROUP BY members.day, members.topic
