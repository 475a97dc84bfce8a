"""Both registries of bundles do what every registry must."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fraudgraph.errors import ConfigurationError
from fraudgraph.scoring.registry import FolderRegistry, Registry
from fraudgraph.scoring.registry_mlflow import MlflowRegistry
from fraudgraph.testing.registry_suite import RegistrySuite


class TestFolder(RegistrySuite):
    @pytest.fixture
    def registry(self, tmp_path: Path) -> Registry:
        return FolderRegistry(tmp_path / "shared")

    @pytest.fixture
    def again(self, tmp_path: Path) -> Callable[[], Registry]:
        return lambda: FolderRegistry(tmp_path / "shared")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a file with MLflow's tables: making them takes as long as all else."""
    file = tmp_path_factory.mktemp("mlflow") / "empty.db"
    MlflowRegistry(f"sqlite:///{file}").entries()
    return file


class TestMlflow(RegistrySuite):
    @pytest.fixture
    def registry(self, empty: Path, tmp_path: Path) -> Registry:
        (tmp_path / "mlflow.db").write_bytes(empty.read_bytes())
        return MlflowRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}")

    @pytest.fixture
    def again(self, tmp_path: Path) -> Callable[[], Registry]:
        return lambda: MlflowRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}")

    def test_nothing_is_told_to_anybody_else(self, registry: Registry) -> None:
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
        from mlflow.telemetry.client import get_telemetry_client

        assert get_telemetry_client() is None

    def test_an_address_that_is_none_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="no address of MLflow"):
            MlflowRegistry("mlflow.db")
