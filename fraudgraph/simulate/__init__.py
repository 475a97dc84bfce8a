"""Seeded worlds of honest shoppers and fraud rings, with ground truth."""
