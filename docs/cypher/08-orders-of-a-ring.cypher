// What each account of a ring ordered, got back and charged back.
// Parameter: ring_id
MATCH (:Ring {ring_id: $ring_id})<-[m:MEMBER_OF]-(u:User)
OPTIONAL MATCH (u)-[:PLACED]->(o:Order)
RETURN u.id AS account, round(m.probability, 2) AS probability, count(o) AS orders, o.currency AS currency,
       sum(o.amount_minor) AS amount_minor, sum(o.refunded_minor) AS refunded_minor, sum(o.charged_minor) AS charged_back_minor,
       u.declined AS declined_payments
ORDER BY amount_minor DESC, account, currency;
