"""The composition root: the only place that names concrete streams, stores, scorers, sinks, planners and renderers.

Heavy rooms are imported inside the functions: a reader of a store must start without numpy.
"""

from fraudgraph.app.copies import back_up, migrate, restore
from fraudgraph.app.engines import backtest, decode_one, make_decoder, make_engine, restored_engine
from fraudgraph.app.ingest import Ingest, obey_commands, open_ingest, record_command, replay
from fraudgraph.app.keys import key_file, local_file, open_resolvers, open_vault, read_keys
from fraudgraph.app.narrators import make_client, make_picker, make_planner
from fraudgraph.app.production import open_kafka
from fraudgraph.app.reports import draw_ring, render_report
from fraudgraph.app.rotation import Rotation, finish_rotation, rotate_key
from fraudgraph.app.stores import open_reader
from fraudgraph.app.training_data import stored_events

__all__ = [
    "Ingest",
    "Rotation",
    "back_up",
    "backtest",
    "decode_one",
    "draw_ring",
    "finish_rotation",
    "key_file",
    "local_file",
    "make_client",
    "make_decoder",
    "make_engine",
    "make_picker",
    "make_planner",
    "migrate",
    "obey_commands",
    "open_ingest",
    "open_kafka",
    "open_reader",
    "open_resolvers",
    "open_vault",
    "read_keys",
    "record_command",
    "render_report",
    "replay",
    "restore",
    "restored_engine",
    "rotate_key",
    "stored_events",
]
