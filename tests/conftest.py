"""Makes `tests/support` importable as `support`: pytest puts the folder of a conftest on the path."""
