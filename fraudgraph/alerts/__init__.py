"""Priority and the alert policy."""
