"""How the daemon is: metrics, health, and the page that says so."""
