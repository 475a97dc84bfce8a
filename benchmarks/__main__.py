"""Runs every benchmark after the other: `python -m benchmarks`, or one: `python -m benchmarks.decode`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NOT_BENCHMARKS = {"__init__", "__main__", "mix", "gnn_graphs", "gnn_loop", "gnn_rivals"}


def main() -> int:
    """Returns how many failed."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in NOT_BENCHMARKS)
    failed = 0
    for name in names:
        print(f"\n== benchmarks.{name}", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
