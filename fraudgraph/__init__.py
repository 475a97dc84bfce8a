"""fraudgraph finds fraud rings in a shop's event stream and explains them from evidence."""

__version__ = "0.1.0"
