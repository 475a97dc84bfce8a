"""A real Neo4j Community in a folder of its own, on loopback."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path
from typing import Final

from fraudgraph.errors import DependencyError
from fraudgraph.services.jars import fetch_jars, find_program
from fraudgraph.services.process import HOST, ServerProcess, reserved

VERSION: Final = "5.26.30"
COORDINATES: Final = (f"org.neo4j:neo4j:{VERSION}",)
BILL: Final = f"org.neo4j:parent:{VERSION}"
USER: Final = "neo4j"
_READY_LIMIT_S: Final = 180.0
_FOLDERS: Final = ("conf", "data", "logs", "plugins", "run", "import")

# Bolt on loopback and nothing else. Small logs of transactions: without the three settings an empty database takes half
# a gigabyte. The two internal ones let a stop in good order not wait ten seconds for connections that are idle.
_SETTINGS: Final = """\
server.bolt.enabled=true
server.bolt.listen_address={host}:{port}
server.bolt.advertised_address={host}:{port}
server.default_listen_address={host}
server.http.enabled=false
server.https.enabled=false
dbms.security.auth_enabled=true
server.memory.pagecache.size={page_cache}
dbms.usage_report.enabled=false
db.tx_log.preallocate=false
db.tx_log.rotation.size=128m
db.tx_log.rotation.retention_policy=false
internal.server.bolt.thread_pool_shutdown_wait_time=0s
internal.server.bolt.connection_shutdown_wait_time=0s
"""
_ADVERTISED: Final = "server.bolt.advertised_address="
_FLAGS: Final = (
    "-XX:+UseG1GC",
    "-XX:-OmitStackTraceInFastThrow",
    "-XX:+DisableExplicitGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djdk.nio.maxCachedBufferSize=1024",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dlog4j2.disable.jmx=true",
    "-Dfile.encoding=UTF-8",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
)


class Neo4jServer(ServerProcess):
    """One server with one database, reached by a password that was made for it.

    Args:
        folder: made where it does not exist; a second start finds the data of the first.
        cache: where the jars are kept.
        heap: of the Java virtual machine.
        page_cache: memory for the store's pages, of a new folder.
    """

    def __init__(self, folder: Path, cache: Path, *, heap: str = "512m", page_cache: str = "256m") -> None:
        super().__init__("Neo4j", folder, ready_limit_s=_READY_LIMIT_S)
        self.password_file = self.folder / "password"
        self._cache = cache
        self._heap = heap
        self._page_cache = page_cache
        self._settings = self.folder / "conf" / "neo4j.conf"

    @property
    def url(self) -> str:
        """The address for clients, without the password.

        Raises:
            DependencyError: the folder holds no server.
        """
        return f"neo4j://{USER}@{self._address}"

    @property
    def password(self) -> str:
        """The password of `USER`.

        Raises:
            DependencyError: the folder holds no server.
        """
        try:
            return self.password_file.read_text().strip()
        except OSError as error:
            raise self._absent() from error

    def start(self, *, port: int = 0) -> None:
        """Starts the server and waits until it answers; does nothing where it runs.

        Args:
            port: of the clients when the folder is new; 0 takes a free one, and keeps it.

        Raises:
            DependencyError: Java or Maven is missing, the port is taken, or the server does not come up.
        """
        if self.pid is not None:
            return
        jars = fetch_jars("neo4j", COORDINATES, self._cache, bill=BILL)
        if not self._settings.exists():
            self._make(jars, port)
        host, taken = self._address.rsplit(":", 1)
        self._launch(self._command(jars), host, int(taken), self._answers)

    @property
    def _address(self) -> str:
        try:
            lines = self._settings.read_text().splitlines()
        except OSError as error:
            raise self._absent() from error
        return next(line.removeprefix(_ADVERTISED) for line in lines if line.startswith(_ADVERTISED))

    def _absent(self) -> DependencyError:
        return DependencyError(f"{self.folder} holds no Neo4j", do="Make one with `fraudgraph services up`.")

    def _command(self, jars: Path) -> list[str]:
        home = self.folder
        return [
            find_program("java"),
            f"-Xms{self._heap}",
            f"-Xmx{self._heap}",
            *_FLAGS,
            *("-cp", f"{home}/plugins/*:{home}/conf/*:{jars}/*"),
            "org.neo4j.server.CommunityEntryPoint",
            f"--home-dir={home}",
            f"--config-dir={home / 'conf'}",
            "--console-mode",
        ]

    def _make(self, jars: Path, port: int) -> None:
        """Lays out the folder; the settings come last, so that half a folder is made again."""
        for name in _FOLDERS:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        password = secrets.token_urlsafe(24).replace("-", "_")  # one that begins with `-` is no argument
        self.password_file.unlink(missing_ok=True)
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(password)
        with reserved(port) as clients:
            text = _SETTINGS.format(host=HOST, port=clients.getsockname()[1], page_cache=self._page_cache)
        part = self._settings.with_suffix(".part")
        part.write_text(text)
        # The argument is read from the file, so that no list of processes shows it.
        done = subprocess.run(
            [
                *(find_program("java"), "-Xmx128m", "-cp", f"{jars}/*"),
                *("org.neo4j.server.startup.Neo4jAdminCommand", "dbms", "set-initial-password"),
                f"@{self.password_file}",
            ],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"NEO4J_HOME": str(self.folder), "NEO4J_CONF": str(self.folder / "conf")},
        )
        if done.returncode:
            raise DependencyError(
                f"Neo4j could not set up {self.folder} (exit code {done.returncode})",
                do="Use an empty folder, and Java 17 or 21.",
            )
        part.rename(self._settings)

    def _answers(self) -> bool:
        from neo4j import GraphDatabase
        from neo4j.exceptions import DriverError, Neo4jError

        address = f"bolt://{self._address}"
        try:
            with GraphDatabase.driver(address, auth=(USER, self.password)) as driver:
                driver.execute_query("RETURN 1")
        except (DriverError, Neo4jError):
            return False
        return True
