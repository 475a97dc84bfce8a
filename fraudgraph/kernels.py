"""Where compiled kernels are kept: one folder per state of the sources that they are made of.

numba's own cache looks only at the file in which a kernel stands. A kernel whose callee in another file changed, by an
upgrade or by hand, would go on with the old callee.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numba

njit = numba.njit


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
