"""One error tree: what happened, the value seen (never personal data), and what to do next."""

from __future__ import annotations


class FraudgraphError(Exception):
    """Base of every error that fraudgraph raises on purpose.

    Args:
        what: what happened, in one clause, with the value seen where it is not personal data.
        do: the next step for the person who reads it.
    """

    exit_code = 1

    def __init__(self, what: str, *, do: str) -> None:
        super().__init__(f"{what}. {do}")
        self.what = what
        self.do = do


class UsageError(FraudgraphError):
    """The command line asks for something that does not exist."""

    exit_code = 2


class ConfigurationError(FraudgraphError):
    """A setting, file, key or mapping cannot be used as it is."""

    exit_code = 4


class DependencyError(FraudgraphError):
    """Something outside (a store, a broker, a file) is down or cannot be read."""

    exit_code = 5


class StoreError(FraudgraphError):
    """The store refuses: newer schema, fenced epoch, or a position that is not the expected one."""


class FencedError(StoreError):
    """Another writer took a newer epoch; this one must stop."""
