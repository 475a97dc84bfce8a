"""A server as a plain process on loopback. Whether it runs is asked of a lock that it holds, not of a file."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fraudgraph.errors import DependencyError

HOST = "127.0.0.1"
_STOP_LIMIT_S = 30.0
_POLL_S = 0.05


class ServerProcess:
    """One server: its settings, data and log live in `folder`, and so does what says whether it runs.

    The server's process holds a lock on `folder/lock` for as long as it lives, so that another process can tell
    whether it runs, and nobody else's process is ever stopped for it.

    Args:
        name: what people call it.
        folder: made where it does not exist; a second start finds the data of the first.
        ready_limit_s: how long a start may take.
    """

    def __init__(self, name: str, folder: Path, *, ready_limit_s: float) -> None:
        self.folder = folder.resolve()
        self.log_file = self.folder / f"{name.lower()}.log"
        self.name = name
        self._ready_limit_s = ready_limit_s
        self._lock = self.folder / "lock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process that runs the server, or None."""
        try:
            with self._lock.open("r") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(file.read())
        except FileNotFoundError:
            pass
        return None

    def stop(self) -> None:
        """Stops the server in good order, with force after half a minute. Does nothing where it does not run."""
        self._end(signal.SIGTERM)
        self._end(signal.SIGKILL)

    def kill(self) -> None:
        """Ends the server's process as a crash would."""
        self._end(signal.SIGKILL)

    def _launch(self, command: Sequence[str], host: str, port: int, is_ready: Callable[[], bool]) -> None:
        """Starts the process and waits until it is ready.

        Args:
            host, port: where it will listen; something else must not.
            is_ready: asked once it listens, and again until it says so.
        """
        if listens(host, port):
            raise DependencyError(
                f"something else listens on {host}:{port}", do="Stop it, or use another folder with another port."
            )
        with self._lock.open("w") as lock, self.log_file.open("ab") as log:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C for the command is none for the server
                pass_fds=(lock.fileno(),),
            )
            lock.write(str(self._process.pid))
        try:
            self._wait(host, port, is_ready)
        except BaseException:
            self.kill()
            raise

    def _wait(self, host: str, port: int, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._ready_limit_s
        while time.monotonic() < deadline:
            if self.pid is None:
                raise DependencyError(f"{self.name} ended while it started", do=f"Read {self.log_file}.")
            if listens(host, port) and is_ready():
                return
            time.sleep(_POLL_S)
        raise DependencyError(
            f"{self.name} did not answer within {self._ready_limit_s:.0f} s",
            do=f"Read {self.log_file}; free some memory.",
        )

    def _end(self, number: signal.Signals) -> None:
        pid = self.pid
        if pid is None:
            return
        os.kill(pid, number)
        deadline = time.monotonic() + _STOP_LIMIT_S
        while self.pid is not None and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        if self._process is not None and self.pid is None:
            self._process.wait()
            self._process = None


def reserved(port: int) -> socket.socket:
    """Returns a socket on a free port (0), or on this one; it is free again once the socket is closed.

    Raises:
        DependencyError: the port is taken.
    """
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((HOST, port))
    except OSError as error:
        taken.close()
        raise DependencyError(
            f"port {port} of {HOST} is taken ({error.strerror})", do="Stop what listens there, or choose another port."
        ) from error
    return taken


def listens(host: str, port: int) -> bool:
    """Returns whether something takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0
