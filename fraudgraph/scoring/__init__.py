"""Probabilities and the reasons for them."""
