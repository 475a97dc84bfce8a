"""The page: /livez, /readyz, /model and /metrics over HTTP, from threads of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from fraudgraph.errors import ConfigurationError, DependencyError
from fraudgraph.monitor.health import Health, Verdict
from fraudgraph.monitor.metrics import Metrics
from fraudgraph.monitor.model_page import NOT_YET

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_PLAIN: Final = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))


def page(metrics: Metrics, health: Health, model: Callable[[], str] = lambda: NOT_YET) -> WSGIApplication:
    """Returns the WSGI application: 200 where all is well, 503 where not, with the reason as text.

    Args:
        model: what the last look at the model found, in words.
    """
    numbers: WSGIApplication = make_wsgi_app(metrics.registry)
    asked: dict[str, Callable[[], Verdict]] = {"/livez": health.live, "/readyz": health.ready}

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return numbers(environ, start_response)
        if path == "/model":
            start_response("200 OK", [*_PLAIN])
            return [model().encode()]
        if path not in asked:
            start_response("404 Not Found", [*_PLAIN])  # the server adds to the list
            return [b"/livez, /readyz, /model and /metrics are here\n"]
        verdict = asked[path]()
        start_response("200 OK" if verdict.good else "503 Service Unavailable", [*_PLAIN])
        return [f"{verdict.because}\n".encode()]

    return answer


@contextmanager
def serving(address: str, app: WSGIApplication) -> Iterator[str]:
    """Serves the page until it is left, and yields the address that it really has (port 0 takes a free one).

    Raises:
        ConfigurationError: it is no `host:port`.
        DependencyError: the port is taken.
    """
    host, colon, port = address.rpartition(":")
    if not host or not colon or not port.isdigit():
        raise ConfigurationError(f"daemon.http {address!r} is no host:port", do="Write 127.0.0.1:9464, or nothing.")
    try:
        server = make_server(host, int(port), app, ThreadingWSGIServer, handler_class=_Silent)
    except (OSError, OverflowError) as error:
        raise DependencyError(
            f"nothing can be served at {address} ({type(error).__name__})",
            do="Is another daemon running? Give another port in daemon.http.",
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="page", daemon=True)
    thread.start()
    try:
        yield f"{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Silent(WSGIRequestHandler):
    """Logs no requests: probes come every few seconds."""

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""
