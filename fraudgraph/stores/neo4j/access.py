"""How a Neo4j is reached: its URL taken apart, the driver, and every failure told in our own errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from fraudgraph.errors import ConfigurationError, DependencyError, StoreError

if TYPE_CHECKING:
    from neo4j import Driver

SCHEMES: Final = ("neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")
DEFAULT_PORT: Final = 7687
DEFAULT_DATABASE: Final = "neo4j"
_MAX_SPACE: Final = (1 << 22) - 1
_USE: Final = "Use neo4j://user@host:7687 or neo4j+s://user@host:7687/database; the password is not part of it."


@dataclass(frozen=True, slots=True)
class Neo4jOptions:
    """What a URL does not say.

    Attributes:
        password: of the URL's user; "" where the server asks for none.
        connection_timeout_ms: for opening a connection.
        retry_max_ms: for how long a transaction is tried again while the server does not answer; a daemon then goes on
            trying by itself.
        write_max_ms: after so long the server ends a transaction that writes and gives its locks back: a daemon that
            froze in the middle of a commit would else keep its successor out for good.
        fetch_rows: rows that the server sends at a time.
        ca_file: certificates in PEM to trust instead of the system's; with it the connection is encrypted.
    """

    password: str = field(default="", repr=False)
    connection_timeout_ms: int = 10_000
    retry_max_ms: int = 10_000
    write_max_ms: int = 120_000
    fetch_rows: int = 2_000
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Neo4jAddress:
    """A store's URL, taken apart; `space` is its place where a database holds several stores (`?space=3`)."""

    scheme: str
    host: str
    port: int
    user: str
    database: str
    space: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


def parse_url(url: str) -> Neo4jAddress:
    """Returns what `neo4j://user@host:7687/database?space=0` says; user, port, database and space may be left out.

    Raises:
        ConfigurationError: it cannot be read, or carries a password; the message repeats neither.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigurationError("the Neo4j URL cannot be read", do=_USE) from None
    if parts.password is not None:
        raise ConfigurationError(
            "the store's URL carries a password", do="Take it out, and set FRAUDGRAPH_NEO4J_PASSWORD instead."
        )
    if parts.scheme not in SCHEMES or not parts.hostname or parts.fragment:
        raise ConfigurationError("the Neo4j URL names no host, or has more than it should", do=_USE)
    database = parts.path.strip("/") or DEFAULT_DATABASE
    query = parse_qs(parts.query, keep_blank_values=True)
    space = query.pop("space", ["0"])
    if query or "/" in database or len(space) != 1 or not space[0].isdecimal() or int(space[0]) > _MAX_SPACE:
        raise ConfigurationError("the Neo4j URL has more behind the host than a database and a space", do=_USE)
    return Neo4jAddress(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or DEFAULT_PORT,
        user=unquote(parts.username or "neo4j"),
        database=database,
        space=int(space[0]),
    )


def connect(address: Neo4jAddress, options: Neo4jOptions) -> Driver:
    """Returns a driver whose server has answered.

    Raises:
        ConfigurationError: the server refuses the user or the password, or has no such database.
        DependencyError: it does not answer, or its certificate is not trusted.
    """
    from neo4j import GraphDatabase, TrustCustomCAs

    scheme = address.scheme
    secure: dict[str, Any] = {}
    if options.ca_file:
        # The driver takes certificates only where the scheme leaves encryption to it.
        scheme = scheme.partition("+")[0]
        secure = {"encrypted": True, "trusted_certificates": TrustCustomCAs(options.ca_file)}
    with translated(address):
        driver = GraphDatabase.driver(
            f"{scheme}://{_bracketed(address.host)}:{address.port}",
            auth=(address.user, options.password) if options.password else None,
            connection_timeout=options.connection_timeout_ms / 1000,
            connection_acquisition_timeout=options.connection_timeout_ms / 1000 + 50,
            max_transaction_retry_time=options.retry_max_ms / 1000,
            notifications_min_severity="OFF",  # deprecations would flood the log
            telemetry_disabled=True,
            **secure,
        )
        try:
            driver.verify_connectivity()
        except BaseException:
            driver.close()
            raise
    return driver


@contextmanager
def translated(address: Neo4jAddress) -> Iterator[None]:
    """Turns the driver's errors into ours; a wrong statement stays what it is, a defect.

    Raises:
        ConfigurationError: the server refuses the user or the password, or has no such database.
        DependencyError: it does not answer, or cannot do it now; what was being written may or may not be there.
        StoreError: it refuses the rows.
    """
    from neo4j import exceptions

    try:
        yield
    except (exceptions.AuthError, exceptions.TokenExpired) as error:
        raise ConfigurationError(
            f"Neo4j at {address} refuses user {address.user!r}",
            do="Set FRAUDGRAPH_NEO4J_PASSWORD or neo4j.password_file, and the user in the store's URL.",
        ) from error
    except exceptions.ConstraintError as error:
        raise StoreError(
            f"Neo4j refuses the rows ({error.code})", do="Report this with the log; nothing was written."
        ) from error
    except (exceptions.CypherSyntaxError, exceptions.CypherTypeError):
        raise
    except exceptions.Neo4jError as error:
        if error.code == "Neo.ClientError.Database.DatabaseNotFound":
            raise ConfigurationError(
                f"Neo4j at {address} has no database {address.database!r}", do="Check the end of the store's URL."
            ) from error
        raise DependencyError(
            f"Neo4j at {address} cannot do it now ({error.code})",
            do="Look into its log: memory, disk and limits on transactions are the usual causes.",
        ) from error
    except (exceptions.DriverError, OSError) as error:
        raise DependencyError(
            f"Neo4j at {address} does not answer ({type(error).__name__})",
            do="Check that it runs and that address, port and encryption are right; `fraudgraph doctor` looks again.",
        ) from error


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
