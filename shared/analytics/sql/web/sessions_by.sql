{% from "analytics/sql/raw.jinja" import rows %}
SELECT
  raw.date,
  {{ entity.dimension }} AS entity_id,
  SUM(raw.total_users) AS users,
  {% if "new_users" in entity.columns %}
  SUM(raw.new_users) AS new_users,
  {% endif %}
  SUM(raw.sessions) AS sessions,
  SUM(raw.engaged_sessions) AS engaged_sessions,
  SUM(raw.sessions) - SUM(raw.engaged_sessions) AS bounces,
  {% if "pageviews" in entity.columns %}
  SUM(raw.screen_page_views) AS pageviews,
  {% endif %}
  CAST(SUM(CAST(raw.key_events AS NUMERIC)) AS FLOAT64) AS conversions,
  CAST(SUM(CAST(raw.purchase_revenue AS NUMERIC)) AS FLOAT64) AS revenue
  {%- if entity.attributes %},
  {{ entity.attributes }} AS attributes
  {%- endif %}

FROM {{ rows(dataset, entity.table) }} AS raw
WHERE raw.date IN UNNEST(@days)
GROUP BY raw.date, {{ entity.dimension }}
