"""One command each: prints a table with our figure, its rival in the same run, and the bar."""
