// What ties a ring: each identifier that its accounts share, how many of them, how many others, and when.
// An identifier with many others is a hub (an office, a mobile carrier): it ties nobody.
// Parameter: ring_id
MATCH (:Ring {ring_id: $ring_id})<-[:MEMBER_OF]-(u:User)
      -[l:USED_DEVICE|USED_IP|PAID_WITH|USED_EMAIL|USED_PHONE|SHIPS_TO]->(i)
WITH i, count(DISTINCT u) AS members, collect(DISTINCT u.id) AS accounts, min(l.first_ms) AS first_ms, max(l.last_ms) AS last_ms
WHERE members >= 2
RETURN labels(i)[0] AS kind, i.mask AS mask, i.key AS pseudonym, members, COUNT { (i)<--(:User) } - members AS others,
       datetime({epochMillis: first_ms}) AS first_seen, datetime({epochMillis: last_ms}) AS last_seen, accounts
ORDER BY members DESC, others, pseudonym;
