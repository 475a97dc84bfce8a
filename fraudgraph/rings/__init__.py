"""Ties, components, rings, their identity, facts, roles and money."""
