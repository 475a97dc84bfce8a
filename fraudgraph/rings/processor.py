"""Instructions of the processor that Python has no words for; for kernels only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir  # type: ignore[import-untyped]  # it has no stubs
from numba import types
from numba.core import cgutils
from numba.cpython.unsafe import numbers
from numba.extending import intrinsic

from fraudgraph.graph.types import Int


def _prefetch(typing_context: Any, records: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = context.cast(builder, arguments[1], signature.args[1], types.intp)
        byte = builder.bitcast(builder.gep(array.data, [place]), ir.IntType(8).as_pointer())
        kind = ir.IntType(32)
        shape = ir.FunctionType(ir.VoidType(), [byte.type, kind, kind, kind])
        function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]  # numba's own is untyped
            builder.module, shape, "llvm.prefetch.p0"
        )
        # The address, for reading (0), to keep in all levels of the cache (3), as data (1).
        builder.call(function, [byte, kind(0), kind(3), kind(1)])
        return context.get_dummy_value()

    return types.void(records, index), generate


prefetch = cast(Callable[[Any, Int], None], intrinsic(_prefetch))
"""Starts to load `records[index]` of a one-dimensional array and goes on; any index will do.

Where a loop follows pointers, each step waits for the one before. Asking for the records of many independent walks
first lets those waits overlap (software prefetching: Mowry, Lam, Gupta 1992).
"""

trailing_zeros = cast(Callable[[Int], Int], numbers.trailing_zeros)
"""Returns the place of an unsigned integer's lowest set bit."""
