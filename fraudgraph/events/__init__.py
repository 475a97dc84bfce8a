"""From bytes to normalised, pseudonymous columns."""
