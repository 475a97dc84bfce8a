"""Kernels on vectors and on rows of the memory, which begin at a word `at`."""

from __future__ import annotations

import numpy as np

from fraudgraph.graph.types import I64, Int
from fraudgraph.kernels import bare
from fraudgraph.rings.processor import prefetch
from fraudgraph.scoring.gnn.model import F32
from fraudgraph.scoring.gnn.state import LINE

# What runs per link or per neighbour is inlined, and indexes instead of making views, whose references are counted.
# An index into the memory is unsigned: numba turns a signed one that might be negative round, which costs the loops
# their vector instructions.


@bare(inline="always")
def fetch_row(memory: F32, at: Int, width: Int) -> None:
    """Starts to load a row."""
    for k in range(0, width, LINE):
        prefetch(memory, at + k)


@bare(inline="always")
def load_row(out: F32, memory: F32, at: Int) -> None:
    """Copies a row into a vector."""
    first = np.uint64(at)
    for k in range(len(out)):
        out[k] = memory[first + np.uint64(k)]


@bare(inline="always")
def store_row(memory: F32, at: Int, vector: F32) -> None:
    """Copies a vector into a row."""
    first = np.uint64(at)
    for k in range(len(vector)):
        memory[first + np.uint64(k)] = vector[k]


@bare(inline="always")
def add_to_row(memory: F32, at: Int, factor: Int, vector: F32) -> None:
    """Adds `factor` times a vector to a row."""
    first = np.uint64(at)
    for k in range(len(vector)):
        memory[first + np.uint64(k)] += factor * vector[k]


@bare(inline="always")
def add_row(out: F32, factor: Int, memory: F32, at: Int) -> None:
    """Adds `factor` times a row to a vector."""
    first = np.uint64(at)
    for k in range(len(out)):
        out[k] += factor * memory[first + np.uint64(k)]


@bare(inline="always")
def add_table(out: F32, factor: Int, table: F32, row: Int) -> None:
    """Adds `factor` times a table's row to a vector."""
    for k in range(len(out)):
        out[k] += factor * table[row, k]


@bare(inline="always")
def copy_table(out: F32, table: F32, row: Int) -> None:
    """Copies a table's row into a vector."""
    for k in range(len(out)):
        out[k] = table[row, k]


@bare()
def pick(vector: F32, picks: I64) -> Int:
    """Lists the inputs that are not zero, which a relu leaves about half of; returns how many."""
    count = 0
    for j in range(len(vector)):
        picks[count] = j
        count += vector[j] != 0
    return count


@bare(fastmath={"contract"})
def multiply(out: F32, matrix: F32, vector: F32, picks: I64, count: Int) -> None:
    """Adds the transposed matrix times a vector, of which only the picked inputs count, eight at a time."""
    first = 0
    while first + 8 <= count:
        j0, j1, j2, j3 = picks[first], picks[first + 1], picks[first + 2], picks[first + 3]
        j4, j5, j6, j7 = picks[first + 4], picks[first + 5], picks[first + 6], picks[first + 7]
        x0, x1, x2, x3 = vector[j0], vector[j1], vector[j2], vector[j3]
        x4, x5, x6, x7 = vector[j4], vector[j5], vector[j6], vector[j7]
        for k in range(len(out)):
            out[k] += ((x0 * matrix[j0, k] + x1 * matrix[j1, k]) + (x2 * matrix[j2, k] + x3 * matrix[j3, k])) + (
                (x4 * matrix[j4, k] + x5 * matrix[j5, k]) + (x6 * matrix[j6, k] + x7 * matrix[j7, k])
            )
        first += 8
    for i in range(first, count):
        x = vector[picks[i]]
        for k in range(len(out)):
            out[k] += x * matrix[picks[i], k]
