{% from "analytics/sql/email/parts.jinja" import answers, members %}
-- Segments are the lists; a contact counts on the one of its lists that it has been on longest, so that nobody is counted
-- twice, and only where it may be mailed: nobody else can be won back by mail. Who bought is told by the payments: they
-- carry the same keyed hash of an e-mail address. A contact that was mailed after a day counts as one that was mailed
-- before it, too: only its last mail is told.
WITH calendar AS (
  SELECT day FROM UNNEST(@days) AS day
),
members AS (
{{ members(dataset) }}
),
answers AS (
{{ answers(dataset) }}
),
bought AS (
  SELECT DISTINCT COALESCE(customer.email, charge.email) AS email, charge.date AS day
  FROM `{{ dataset }}.stripe_charges` AS charge
  LEFT JOIN `{{ dataset }}.stripe_customers` AS customer ON customer.customer_id = charge.customer_id
  WHERE charge.status = 'succeeded' AND NOT charge.refunded AND charge.date <= @last_day
    AND COALESCE(customer.email, charge.email) IS NOT NULL
),
purchases AS (
  SELECT bought.email, bought.day, LEAD(bought.day) OVER (PARTITION BY bought.email ORDER BY bought.day) AS next_day
  FROM bought
),
known AS (
  SELECT found.email, MIN(found.day) AS since
  FROM (
    SELECT customer.email, customer.date AS day
    FROM `{{ dataset }}.stripe_customers` AS customer
    WHERE customer.email IS NOT NULL
    UNION ALL
    SELECT bought.email, bought.day FROM bought
  ) AS found
  GROUP BY found.email
),
segments AS (
  SELECT
    calendar.day,
    members.contact_id,
    members.list_id
  FROM calendar
  INNER JOIN members ON members.since <= calendar.day AND members.until > calendar.day
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY calendar.day, members.contact_id ORDER BY members.since, members.list_id
  ) = 1
)
SELECT
  segments.day AS date,
  segments.list_id AS entity_id,
  JSON_OBJECT(
    'buyers', COUNTIF(known.email IS NOT NULL),
    'dormant_buyers', COUNTIF(
      DATE_DIFF(segments.day, purchases.day, DAY) BETWEEN 90 AND 365
      AND COALESCE(CAST(contact.last_mailed_at AS DATE) <= DATE_SUB(segments.day, INTERVAL 60 DAY), TRUE)
      AND COALESCE(answers.day <= DATE_SUB(segments.day, INTERVAL 60 DAY), TRUE)
    ),
    'matched_buyers', COUNTIF(purchases.email IS NOT NULL)
  ) AS attributes
FROM segments
INNER JOIN `{{ dataset }}.ac_contacts` AS contact ON contact.contact_id = segments.contact_id
LEFT JOIN known ON known.email = contact.email AND known.since <= segments.day
LEFT JOIN purchases
  ON purchases.email = contact.email
  AND purchases.day <= segments.day
  AND (purchases.next_day IS NULL OR purchases.next_day > segments.day)
LEFT JOIN answers
  ON answers.contact_id = segments.contact_id
  AND answers.day <= segments.day
  AND (answers.next_day IS NULL OR answers.next_day > segments.day)
WHERE EXISTS (SELECT 1 FROM known AS any_known)
GROUP BY segments.day, segments.list_id
