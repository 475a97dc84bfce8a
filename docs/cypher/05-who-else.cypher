// Who stands beside a ring: accounts that are not in it and share something with it, hubs left out.
// Parameters: ring_id, hub_users (an identifier with more accounts than this says nothing; 20 is a start)
MATCH (r:Ring {ring_id: $ring_id})<-[:MEMBER_OF]-(member:User)
      -[:USED_DEVICE|USED_IP|PAID_WITH|USED_EMAIL|USED_PHONE|SHIPS_TO]->(i)
WITH DISTINCT r, i
WHERE COUNT { (i)<--(:User) } <= $hub_users
MATCH (i)<-[:USED_DEVICE|USED_IP|PAID_WITH|USED_EMAIL|USED_PHONE|SHIPS_TO]-(other:User)
WHERE NOT EXISTS { (other)-[:MEMBER_OF]->(r) }
RETURN other.id AS account, count(DISTINCT i) AS shared, collect(DISTINCT labels(i)[0] + ' ' + i.mask) AS what
ORDER BY shared DESC, account
LIMIT 50;
