"""A language model's server that does what a test tells it to, over real HTTP on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Handler = Callable[["Call"], None]


@dataclass
class Call:
    """One request, and how to answer it."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    _http: BaseHTTPRequestHandler

    @property
    def probing(self) -> bool:
        return any(m["content"] == "Hello." for m in self.messages)

    @property
    def messages(self) -> list[dict[str, str]]:
        if self.path.partition("?")[0].endswith("/responses"):
            return [{"role": "system", "content": self.body["instructions"]}, *self.body["input"]]
        return list(self.body["messages"])

    @property
    def format(self) -> dict[str, Any]:
        if self.path.partition("?")[0].endswith("/responses"):
            return dict(self.body["text"]["format"])
        return dict(self.body.get("response_format", {"type": "text"}))

    def raw(self, status: int, content: bytes, **headers: str) -> None:
        self._http.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self._http.send_header(name.replace("_", "-"), value)
        self._http.send_header("Content-Length", str(len(content)))
        self._http.end_headers()
        self._http.wfile.write(content)

    def say(self, text: str | None, *, finish: str = "stop", refusal: str | None = None, usage: Any = ...) -> None:
        """Answers as a chat completion, or as a response where that was asked."""
        count = (100, 20) if usage is ... else usage
        if self.path.partition("?")[0].endswith("/responses"):
            part = {"type": "refusal", "refusal": refusal} if refusal else {"type": "output_text", "text": text}
            reply: dict[str, Any] = {
                "status": "completed" if finish == "stop" else "incomplete",
                "incomplete_details": None if finish == "stop" else {"reason": finish},
                "output": [{"type": "reasoning"}, {"type": "message", "content": [part]}],
                "usage": count and {"input_tokens": count[0], "output_tokens": count[1]},
            }
        else:
            message = {"role": "assistant", "content": text, "refusal": refusal}
            reply = {
                "choices": [{"index": 0, "message": message, "finish_reason": finish}],
                "usage": count and {"prompt_tokens": count[0], "completion_tokens": count[1]},
            }
        self.raw(200, json.dumps(reply).encode())

    def answer_probe(self) -> None:
        """Answers a probe as a server does that keeps schemas in every way."""
        self.say('{"probe": "violet-17"}')

    def promise(self, length: int, content: bytes) -> None:
        """Says how long the body is, sends less, and hangs up."""
        self._http.send_response(200)
        self._http.send_header("Content-Length", str(length))
        self._http.end_headers()
        self._http.wfile.write(content)
        self._http.close_connection = True

    def drip_body(self, seconds: float, stop: threading.Event) -> None:
        """Sends one byte of a body now and then, for so long."""
        self._http.send_response(200)
        self._http.send_header("Content-Length", "1000000")
        self._http.end_headers()
        for _ in range(int(seconds / 0.02)):
            if stop.wait(0.02):
                return
            self._http.wfile.write(b" ")

    def drip(self, seconds: float, stop: threading.Event) -> None:
        """Sends one byte of a header now and then, for so long."""
        self._http.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(int(seconds / 0.02)):
            if stop.wait(0.02):
                return
            self._http.wfile.write(b"a")


@dataclass
class ModelServer:
    """A server that runs: `calls` are the requests so far; `handler` may be changed while it does."""

    url: str
    handler: Handler
    stopping: threading.Event = field(default_factory=threading.Event)
    calls: list[Call] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)


@contextmanager
def model_server(handler: Handler) -> Iterator[ModelServer]:
    """Runs a server whose requests go through `handler`."""

    class Http(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            call = Call(self.path, json.loads(content), {k.title(): v for k, v in self.headers.items()}, self)
            running.calls.append(call)
            running.sent.append(content)
            try:
                running.handler(call)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that gave up is what many tests are about

    server = Server(("127.0.0.1", 0), Http)
    running = ModelServer(f"http://127.0.0.1:{server.server_address[1]}/v1", handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
