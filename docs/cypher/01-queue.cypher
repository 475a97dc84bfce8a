// Which rings wait for somebody, the most urgent first?
// rank is the logarithm of the priority: value at risk x probability x recency.
MATCH (r:Ring)
WHERE r.status IN ['open', 'needs-info', 'needs-second-reader']
RETURN r.ring_id AS ring, r.status AS status, round(r.probability, 2) AS probability, r.users AS accounts,
       r.value_at_risk_minor AS value_at_risk_minor, datetime({epochMillis: r.last_seen_ms}) AS last_seen, r.reason AS reason
ORDER BY r.rank DESC, ring
LIMIT 50;
