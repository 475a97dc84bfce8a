"""The production store: one Neo4j database, which investigators can explore with Browser, Bloom or Cypher."""
