"""Jars from Maven Central, once per machine: a folder in the cache is whole, or it is not there."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from fraudgraph.errors import DependencyError

_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
_FETCH_LIMIT_S = 600
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>fraudgraph</groupId><artifactId>services</artifactId><version>1</version><packaging>pom</packaging>
{managed}  <dependencies>
{wanted}
  </dependencies>
</project>
"""
_MANAGED = """  <dependencyManagement><dependencies>
{}
  </dependencies></dependencyManagement>
"""


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Returns where fetched things are kept: `$XDG_CACHE_HOME/fraudgraph` (XDG base directory specification)."""
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fraudgraph"


def find_program(name: str) -> str:
    """Returns the path of a program that must be installed.

    Raises:
        DependencyError: it is not.
    """
    path = shutil.which(name)
    if path is None:
        raise DependencyError(
            f"{name} is not installed",
            do="Install Java 17 or newer and Maven (Debian: apt-get install default-jre-headless maven).",
        )
    return path


def fetch_jars(name: str, coordinates: Sequence[str], cache: Path, *, bill: str = "") -> Path:
    """Returns the folder that holds these artefacts and all that they need at run time; fetches it if it is not there.

    Args:
        name: first part of the folder's name.
        coordinates: `group:artefact:version`, versions fixed: the same ones give the same folder.
        cache: made where it does not exist.
        bill: coordinates of a bill of materials that fixes the versions of what they need.

    Raises:
        DependencyError: Maven is not installed, or could not fetch them.
    """
    pom = _POM.format(
        managed=_MANAGED.format(_dependency(bill, "<type>pom</type><scope>import</scope>")) if bill else "",
        wanted="\n".join(_dependency(coordinate) for coordinate in coordinates),
    )
    whole = cache / "jars" / f"{name}-{hashlib.sha256(pom.encode()).hexdigest()[:12]}"
    if whole.is_dir():
        return whole
    whole.parent.mkdir(parents=True, exist_ok=True)
    with whole.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever comes second finds the folder
        if not whole.is_dir():
            with tempfile.TemporaryDirectory(dir=whole.parent, prefix=".fetching-") as folder:
                part = Path(folder) / "jars"
                _fetch(pom, Path(folder), part)
                part.rename(whole)
    return whole


def _dependency(coordinate: str, more: str = "") -> str:
    group, artefact, version = coordinate.split(":")
    return (
        f"    <dependency><groupId>{group}</groupId><artifactId>{artefact}</artifactId>"
        f"<version>{version}</version>{more}</dependency>"
    )


def _fetch(pom: str, folder: Path, into: Path) -> None:
    file = folder / "pom.xml"
    file.write_text(pom)
    maven = find_program("mvn")
    command = [maven, "-B", "-q", "-f", str(file), _COPY, "-DincludeScope=runtime", f"-DoutputDirectory={into}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_LIMIT_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise DependencyError(
            f"Maven did not end within {_FETCH_LIMIT_S} s", do="Check the network, and try again."
        ) from error
    if done.returncode or not any(into.glob("*.jar")):
        said = next((line for line in done.stdout.splitlines() if "ERROR" in line), f"exit code {done.returncode}")
        raise DependencyError(
            f"Maven could not fetch the jars ({said})", do="Check the network and Maven's settings, and try again."
        )
