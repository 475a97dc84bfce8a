"""Models beside each other on the same streams: figures with intervals, the gate, the report. Start at `compare`."""
