"""`python cli.py …` is `fraudgraph …`."""

from fraudgraph.cli import app

if __name__ == "__main__":
    app()
