"""The network: its mathematics, and the engine that keeps every user's score exact as links come and go."""
