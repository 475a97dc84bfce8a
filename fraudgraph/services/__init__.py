"""Real servers for tests and for trying fraudgraph out: plain processes on loopback, from the makers' own jars."""
