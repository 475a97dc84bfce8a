// A ring as a picture: its accounts, and every identifier that at least two of them share.
// Parameter: ring_id
MATCH (r:Ring {ring_id: $ring_id})<-[:MEMBER_OF]-(u:User)
      -[:USED_DEVICE|USED_IP|PAID_WITH|USED_EMAIL|USED_PHONE|SHIPS_TO]->(identifier)
WITH r, identifier, count(DISTINCT u) AS sharing
WHERE sharing >= 2
MATCH picture = (r)<-[:MEMBER_OF]-(:User)
                -[:USED_DEVICE|USED_IP|PAID_WITH|USED_EMAIL|USED_PHONE|SHIPS_TO]->(identifier)
RETURN picture;
