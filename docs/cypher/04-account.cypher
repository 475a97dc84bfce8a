// One account: its identifiers, how many accounts use each, and the rings that the account is in.
// Parameter: user_id
MATCH (u:User {id: $user_id})
OPTIONAL MATCH (u)-[m:MEMBER_OF]->(r:Ring)
WITH u, collect({ring: r.ring_id, status: r.status, probability: m.probability}) AS rings
MATCH (u)-[l:USED_DEVICE|USED_IP|PAID_WITH|USED_EMAIL|USED_PHONE|SHIPS_TO]->(i)
RETURN labels(i)[0] AS kind, i.mask AS mask, i.key AS pseudonym, l.count AS uses, COUNT { (i)<--(:User) } AS accounts,
       datetime({epochMillis: l.first_ms}) AS first_seen, datetime({epochMillis: l.last_ms}) AS last_seen, rings
ORDER BY accounts DESC, kind, pseudonym;
