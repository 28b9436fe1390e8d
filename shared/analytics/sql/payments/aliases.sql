-- Customers of Stripe and the contacts of ActiveCampaign that have the same e-mail address: its hash, which is the same of
-- both. A contact that several customers stand for is the newest one's. Without any contact there is nothing to be found.
WITH contacts AS (
  SELECT contact.email, MIN(contact.contact_id) AS contact_id
  FROM `{{ dataset }}.ac_contacts` AS contact
  WHERE contact.email IS NOT NULL
  GROUP BY contact.email
),
customers AS (
  SELECT
    customer.customer_id,
    contacts.contact_id,
    ROW_NUMBER() OVER (
      PARTITION BY contacts.contact_id ORDER BY customer.created_at DESC, customer.customer_id DESC
    ) AS turn
  FROM `{{ dataset }}.stripe_customers` AS customer
  LEFT JOIN contacts ON contacts.email = customer.email
  WHERE customer.deleted_at IS NULL AND (SELECT COUNT(*) FROM contacts) > 0
)
SELECT
  'customer' AS entity_type,
  'stripe' AS source,
  customers.customer_id AS alias,
  customers.customer_id AS entity_id,
  IF(customers.contact_id IS NULL, 'own', 'email') AS how
FROM customers
UNION ALL
SELECT 'customer', 'activecampaign', customers.contact_id, customers.customer_id, 'email'
FROM customers
WHERE customers.contact_id IS NOT NULL AND customers.turn = 1
