"""A shop's own CSV and Parquet tables become events, by a declared mapping."""

from fraudgraph.tables.mapping import load_mapping
from fraudgraph.tables.report import ImportReport
from fraudgraph.tables.run import import_tables
from fraudgraph.tables.spec import Mapping

__all__ = ["ImportReport", "Mapping", "import_tables", "load_mapping"]
