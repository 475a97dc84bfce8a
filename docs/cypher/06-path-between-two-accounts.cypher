// What connects two accounts? The shortest way over what people share, as a picture.
// Parameters: user_id, other_user_id
MATCH (a:User {id: $user_id}), (b:User {id: $other_user_id})
MATCH way = shortestPath(
  (a)-[:USED_DEVICE|USED_IP|PAID_WITH|USED_EMAIL|USED_PHONE|SHIPS_TO|SENT_TO|REFERRED*..8]-(b))
RETURN way, length(way) AS steps;
