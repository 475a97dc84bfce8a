"""One port, its adapters, and nothing that decides."""
