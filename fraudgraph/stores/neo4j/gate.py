"""What lets a reader see one commit, in a database that isolates no more than single records.

Neo4j is read committed: while a commit is applied, a reader may find some of its records and not yet others, even
within one statement (seen in 6 of 387 reads beside a writer that never rests). So a commit is announced just before it
is made, in a transaction of its own, and closed just after: a reader waits while one is announced, and reads again if
another was announced meanwhile (a sequence lock; Lameter, "Effective Synchronization on Linux/NUMA Systems", 2005).
Readers lock nothing, and writers wait for nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

    from fraudgraph.stores.neo4j.model import Space

POLL_S: Final = 0.005
DEAD_AFTER_S: Final = 10.0
"""An announced commit that is not closed for so long is nobody's any more: its writer died, and the server is done."""

_READ: Final = "MATCH (g:Gate {space: $space}) RETURN g.announced AS announced, g.closed AS closed"
_TAKE: Final = "MATCH (g:Gate {space: $space}) SET g.epoch = $epoch, g.closed = g.announced"
_ANNOUNCE: Final = """
    MATCH (g:Gate {space: $space}) WHERE g.epoch = $epoch
    SET g.announced = g.announced + 1"""
_CLOSE: Final = """
    MATCH (g:Gate {space: $space}) WHERE g.epoch = $epoch
    SET g.closed = g.announced"""


def read_gate(tx: ManagedTransaction, space: Space) -> tuple[int, bool]:
    """Returns how many commits were ever announced, and whether the last one is closed."""
    announced, closed = tx.run(_READ, space=space.number).single(strict=True)
    return announced, announced == closed


def take_gate(tx: ManagedTransaction, space: Space, epoch: int) -> None:
    """Makes the gate that of an epoch, and closes what an earlier one left; no commit of another may be under way."""
    tx.run(_TAKE, space=space.number, epoch=epoch).consume()


def announce(tx: ManagedTransaction, space: Space, epoch: int) -> None:
    """Says that a commit is about to be made; does nothing where another took the epoch."""
    tx.run(_ANNOUNCE, space=space.number, epoch=epoch).consume()


def close_gate(tx: ManagedTransaction, space: Space, epoch: int) -> None:
    """Says that the commit is through, or will not be; does nothing where another took the epoch."""
    tx.run(_CLOSE, space=space.number, epoch=epoch).consume()
