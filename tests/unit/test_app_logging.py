"""Logs go to standard error as it is when something is said, in one JSON object a line."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr

import structlog

from fraudgraph.logging import configure_logging


def test_a_log_line_outlives_the_stream_that_was_there_at_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    with redirect_stderr(first):
        configure_logging("info")
        log = structlog.get_logger("test")
        log.info("before", events=1)
    first.close()
    with redirect_stderr(second):
        log.info("after", events=2)
        log.debug("too quiet")
    said = [json.loads(line) for line in second.getvalue().splitlines()]
    assert [(line["event"], line["events"], line["level"]) for line in said] == [("after", 2, "info")]
