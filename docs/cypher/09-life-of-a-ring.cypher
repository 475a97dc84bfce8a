// How a ring came to be what it is: born, grew, merged, split, and what an analyst had to do with it.
// Parameter: ring_id
MATCH (s:Step)-[:ABOUT]->(:Ring {ring_id: $ring_id})
OPTIONAL MATCH (s)-[:WITH]->(other:Ring)
RETURN datetime({epochMillis: s.at_ms}) AS at, s.what AS what, s.users_before AS accounts_before, s.users_after AS accounts_after,
       other.ring_id AS other_ring, s.cause AS cause
ORDER BY s.number;
