"""Where compiled kernels are kept: one folder per state of the sources that they are made of.

numba's own cache looks only at the file in which a kernel stands. A kernel whose callee in another file changed, by an
upgrade or by hand, would go on with the old callee.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

njit = numba.njit


def bare(**options: Any) -> Callable[[_Kernel], _Kernel]:
    """Returns numba's decorator for kernels that make no arrays: they do not count references.

    Each look at an array in a tuple else adds to its count and takes off again, atomically, which cost four fifths of
    the time where kernels hand on tuples of tens of arrays. Callers hold the arrays while a kernel runs. Whatever would
    make an array, a slice assigned from another included, does not compile.
    """
    # numba's types do not know the flag, which is older than they are.
    every: dict[str, Any] = {"cache": True, "_nrt": False, **options}
    return cast("Callable[[_Kernel], _Kernel]", numba.njit(**every))


_ROOMS = ("events", "graph", "rings", "scoring")
_KEPT = 4


def cache_folder(environment: dict[str, str], package: Path) -> Path:
    """Returns the folder for these sources: below `XDG_CACHE_HOME`, else `~/.cache`."""
    digest = hashlib.blake2b(numba.__version__.encode(), digest_size=8)
    for room in _ROOMS:
        for source in sorted((package / room).rglob("*.py")):
            digest.update(source.read_bytes())
    home = environment.get("XDG_CACHE_HOME")
    base = Path(home) if home else Path.home() / ".cache"
    return base / "fraudgraph" / "kernels" / digest.hexdigest()


def _use_cache() -> None:
    if os.environ.get("NUMBA_CACHE_DIR"):
        return
    try:
        folder = cache_folder(dict(os.environ), Path(__file__).parent)
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        # Nowhere to write, or no home: numba falls back to its own place, or compiles anew.
        return
    os.utime(folder)
    numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined] # numba fills its config at run time
    for old in sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
        for file in old.rglob("*.nb?"):
            file.unlink(missing_ok=True)


_use_cache()
