// Where a ring's money went: transfers among its accounts, and to accounts outside.
// Parameter: ring_id
MATCH (r:Ring {ring_id: $ring_id})<-[:MEMBER_OF]-(a:User)-[t:SENT_TO]->(b:User)
RETURN a.id AS sender, b.id AS receiver, EXISTS { (b)-[:MEMBER_OF]->(r) } AS inside, t.count AS transfers,
       t.amount_minor AS amount_minor, t.currency AS currency, datetime({epochMillis: t.last_ms}) AS last
ORDER BY amount_minor DESC, sender, receiver;
