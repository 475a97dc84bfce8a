"""What several tests share: builders, never patches."""
