"""A registry of bundles in MLflow: one registered model, whose versions are bundles; aliases are MLflow's own.

Works against a file (`sqlite:///…`) without any network, and against a tracking server. A bundle travels as the
artifacts of a run: safetensors and JSON, nothing that is unpickled. MLflow's telemetry is switched off.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fraudgraph.errors import ConfigurationError, DependencyError
from fraudgraph.scoring.registry import ALIASES, Entry, checked_entry, require_alias, require_same, take_over

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL: Final = "fraudgraph"
"""The registered model, and the experiment whose runs hold the files."""
_SQLITE: Final = "sqlite:///"
_ARTIFACTS: Final = "bundle"
_NAME, _DIGEST = "fraudgraph.bundle", "fraudgraph.digest"


class MlflowRegistry:
    """A registry in MLflow.

    Args:
        url: `sqlite:///FILE`, or the address of a tracking server. Beside a file the bundles are kept in the folder
            `FILE-bundles`.

    Raises:
        ConfigurationError: mlflow is not installed, or the address is none of these.
    """

    def __init__(self, url: str) -> None:
        if not url.startswith((_SQLITE, "http://", "https://")):
            raise ConfigurationError(
                f"model.registry_url {url!r} is no address of MLflow", do="Write sqlite:///mlflow.db, or https://…"
            )
        self._url = url
        self._client = _open(url)

    def entries(self) -> list[Entry]:
        """Returns the bundles in the order of their names."""
        with _reaching(self._url):
            return sorted((entry for entry, _ in self._versions()), key=lambda entry: entry.name)

    def push(self, folder: Path) -> Entry:
        """Logs a bundle's files as a run, and registers it as a version."""
        pushed = checked_entry(folder)
        with _reaching(self._url):
            known = next((entry for entry, _ in self._versions() if entry.name == pushed.name), None)
            if known is not None:
                require_same(known, pushed)
                return known
            tags = {_NAME: pushed.name, _DIGEST: pushed.digest}
            run = self._client.create_run(self._experiment(), run_name=pushed.name, tags=tags)
            self._client.log_artifacts(run.info.run_id, str(folder), _ARTIFACTS)
            self._client.set_terminated(run.info.run_id)
            if not self._registered():
                self._client.create_registered_model(MODEL)
            source = f"{run.info.artifact_uri}/{_ARTIFACTS}"
            self._client.create_model_version(MODEL, source, run.info.run_id, tags=tags)
        return pushed

    def point(self, alias: str, name: str) -> None:
        """Lets MLflow's alias point to a bundle's version."""
        require_alias(alias)
        with _reaching(self._url):
            self._client.set_registered_model_alias(MODEL, alias, self._version(name).version)

    def fetch(self, name: str, into: Path) -> Path:
        """Downloads a bundle, and checks its digest."""
        with _reaching(self._url):
            version = self._version(name)
            part = into / f".{name}.part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            self._client.download_artifacts(version.run_id, _ARTIFACTS, str(part))
        try:
            return take_over(part / _ARTIFACTS, name, version.tags[_DIGEST], into)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _versions(self) -> Iterator[tuple[Entry, Any]]:
        if not self._registered():
            return
        pointed = self._client.get_registered_model(MODEL).aliases
        for version in self._client.search_model_versions(f"name = '{MODEL}'"):
            tags: Mapping[str, str] = version.tags
            if _NAME in tags and _DIGEST in tags:
                aliases = tuple(alias for alias in ALIASES if str(pointed.get(alias)) == str(version.version))
                yield Entry(tags[_NAME], tags[_DIGEST], aliases), version

    def _version(self, name: str) -> Any:
        found = {entry.name: version for entry, version in self._versions()}
        if name not in found:
            names = ", ".join(sorted(found))
            raise ConfigurationError(
                f"the registry has no bundle {name!r}",
                do=f"Name one of {names}." if names else "fraudgraph model push NAME puts one there.",
            )
        return found[name]

    def _registered(self) -> bool:
        return bool(self._client.search_registered_models(f"name = '{MODEL}'"))

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(MODEL)
        if found is not None:
            return str(found.experiment_id)
        where = None
        if self._url.startswith(_SQLITE):
            file = Path(self._url.removeprefix(_SQLITE))
            where = file.with_name(f"{file.name}-bundles").resolve().as_uri()
        return str(self._client.create_experiment(MODEL, artifact_location=where))


def _open(url: str) -> MlflowClient:
    # Read when mlflow is imported: nothing is sent to anybody but the registry that the settings name.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise ConfigurationError(
            "model.registry is mlflow, and mlflow is not installed", do="pip install 'fraudgraph-rings[mlflow]'"
        ) from error
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with _reaching(url):
        return MlflowClient(tracking_uri=url, registry_uri=url)


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        where = url if url.startswith(_SQLITE) else "the tracking server"
        raise DependencyError(
            f"the registry {where} does not do its part ({type(error).__name__})",
            do="Is model.registry_url right, and the server or file there and writable?",
        ) from error
