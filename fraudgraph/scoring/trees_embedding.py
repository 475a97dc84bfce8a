"""What a network adds to the trees' columns: its embedding of an account and its log-odds, on coarse grids.

Sums of floats depend on the order of additions, by about 1e-6, and trees jump at thresholds. On a grid of 1/16 a value
lies that near to the border of two cells once in tens of thousands; as it is, once for every threshold.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fraudgraph.graph.types import F64
from fraudgraph.scoring.gnn.model import F32

EMBEDDING_PARTS: Final = 16
LOG_ODDS_PARTS: Final = 8
_LIMIT: Final = 12.0
"""The network's log-odds beyond this count as this."""


def embedding_names(width: int) -> tuple[str, ...]:
    """Returns the columns of a network of a width."""
    return (*(f"embedding_{at}" for at in range(width)), "network_log_odds")


def embedding_columns(embeddings: F32, logits: F64) -> F32:
    """Returns `[n, width + 1]` of embeddings `[n, width]` and log-odds `[n]`."""
    held = np.rint(np.clip(logits, -_LIMIT, _LIMIT) * LOG_ODDS_PARTS) / LOG_ODDS_PARTS
    columns = np.column_stack((np.rint(embeddings * EMBEDDING_PARTS) / EMBEDDING_PARTS, held))
    return columns.astype(np.float32)
