"""Whoever tells rings in words: a template, or a language model behind its client."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fraudgraph.settings import Settings

if TYPE_CHECKING:
    from fraudgraph.narrative.llm.client import ModelClient
    from fraudgraph.narrative.llm.picker import QueryPicker
    from fraudgraph.narrative.llm.planner import ModelPlanner


def make_client(settings: Settings, environment: Mapping[str, str] = os.environ) -> ModelClient | None:
    """Returns the client of the configured language model, or None where the template narrates.

    Raises:
        ConfigurationError, DependencyError: its key is missing, or its cache cannot be written.
    """
    from fraudgraph.narrative.llm.build import make_client as by_rules

    return by_rules(settings.narrator, environment)


def make_planner(settings: Settings, environment: Mapping[str, str] = os.environ) -> ModelPlanner | None:
    """Returns the planner that asks the configured language model, or None where the template narrates.

    Raises:
        ConfigurationError, DependencyError: as `make_client`.
    """
    from fraudgraph.narrative.llm.planner import ModelPlanner

    client = make_client(settings, environment)
    rules = settings.narrator
    return None if client is None else ModelPlanner(client, reading=rules.reading, currency=rules.currency)


def make_picker(settings: Settings, environment: Mapping[str, str] = os.environ) -> QueryPicker | None:
    """Returns what has the configured language model pick queries, or None where rules do.

    Raises:
        ConfigurationError, DependencyError: as `make_client`.
    """
    from fraudgraph.narrative.llm.picker import QueryPicker

    client = make_client(settings, environment)
    return None if client is None else QueryPicker(client)
