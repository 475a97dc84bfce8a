"""The wheel holds the bundles that ship, and they load where only the wheel is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="hatchling builds the wheel; it is an extra of the development environment")

ROOT = Path(__file__).parents[2]
LOADS = """
import sys
sys.path.insert(0, sys.argv[1])
import fraudgraph
from fraudgraph.scoring.library import BundleLibrary
from pathlib import Path
bundle = BundleLibrary(Path(sys.argv[1]) / "none")(sys.argv[2])
print(fraudgraph.__file__, bundle.name, bundle.manifest.kind, sep="\\n")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with the wheel unpacked, as an installer leaves a pure one."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.mark.parametrize(("bundle", "numbers"), [("default", "weights.safetensors"), ("trees", "trees.ubj")])
def test_the_wheel_holds_a_shipped_bundle_with_its_card(installed: Path, bundle: str, numbers: str) -> None:
    folder = installed / "fraudgraph" / "bundles" / bundle
    shipped = {path.name for path in folder.iterdir()}
    assert {"bundle.json", numbers, "card.md", "drift.json"} <= shipped
    for name in shipped:
        assert (folder / name).read_bytes() == (ROOT / "fraudgraph" / "bundles" / bundle / name).read_bytes()


@pytest.mark.parametrize(("bundle", "kind"), [("default", "network"), ("trees", "trees")])
def test_a_shipped_bundle_loads_from_an_installed_wheel(installed: Path, bundle: str, kind: str) -> None:
    # -I: neither the working folder nor PYTHONPATH may bring in the sources.
    done = subprocess.run(
        [sys.executable, "-I", "-c", LOADS, str(installed), bundle],
        cwd=installed,
        env={"PATH": os.environ["PATH"], "HOME": str(installed)},
        check=True,
        capture_output=True,
        text=True,
    )
    where, *said = done.stdout.split("\n")[:3]
    assert Path(where).is_relative_to(installed)
    assert said == [bundle, kind]
