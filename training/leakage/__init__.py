"""Looks for what a training table should not have known, and measures what that would have gained."""
