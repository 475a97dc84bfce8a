"""The language-model side of the narrator: one client that can send, and what keeps it from costing or blocking."""
