// The latest alerts, and what was decided about each of their rings.
MATCH (a:Alert)-[:ABOUT]->(r:Ring)
OPTIONAL MATCH (d:Decision {stands: true})-[:ABOUT]->(r)
RETURN datetime({epochMillis: a.at_ms}) AS at, r.ring_id AS ring, r.status AS status, round(a.probability, 2) AS probability,
       a.reason AS reason, collect(d.decision_id + ': ' + d.verdict + ' by ' + d.author) AS verdicts
ORDER BY at DESC, ring
LIMIT 50;
