"""Bytes to decoded, validated, normalised, pseudonymous columns: `python -m benchmarks.decode [--events N]`.

The rival is the pipeline that a team would write first with the same libraries: one event at a time, `json.loads`,
`datetime.fromisoformat`, `phonenumbers`, `email-validator`, `ipaddress` and `hashlib`. Both read the same events, one
after the other in the same process. Figures are CPU seconds of the process, so all threads count.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address
from itertools import islice
from typing import Any, Final

import phonenumbers
from email_validator import validate_email
from rich.console import Console
from rich.table import Table

from benchmarks.mix import mix_lines
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.pseudonyms import Pseudonymiser, TwoKeys
from fraudgraph.events.vault import Vault
from fraudgraph.streams.port import RawBatch

BAR_PER_S: Final = 80_000
BATCH: Final = 1_000
RIVAL_EVENTS: Final = 20_000
KEY: Final = bytes(range(32))
IDENTIFIERS: Final = ("device_id", "ip", "card", "email", "phone", "address")


def raw_batches(lines: Sequence[bytes]) -> list[RawBatch]:
    """Cuts lines into batches of 1,000, as a file would bring them."""
    batches = []
    for start in range(0, len(lines), BATCH):
        values = list(lines[start : start + BATCH])
        offsets = list(range(start, start + len(values)))
        batches.append(RawBatch(values, ["mix"], [0] * len(values), offsets, [offset + 1 for offset in offsets]))
    return batches


def ours(batches: Sequence[RawBatch], pseudonymiser: Pseudonymiser) -> tuple[float, int]:
    """Returns (CPU seconds, dead letters)."""
    decoder = Decoder(pseudonymiser, Vault(KEY), default_region="DE", default_currency=None)
    decoder.decode(batches[0])  # imports, currency table, number plans
    dead = 0
    start = time.process_time()
    for batch in batches:
        dead += len(decoder.decode(batch).dead_letters)
    return time.process_time() - start, dead


def rival(lines: Sequence[bytes]) -> float:
    """Returns the CPU seconds of the straightforward pipeline."""
    straightforward(lines[0])
    start = time.process_time()
    for line in lines:
        straightforward(line)
    return time.process_time() - start


def straightforward(line: bytes) -> dict[str, Any]:
    """Decodes, normalises and hashes one event as its authors would at first."""
    event = json.loads(line)
    out: dict[str, Any] = {
        "type": event["type"],
        "event_id": _hash("event", event["event_id"]),
        "ts_ms": int(datetime.fromisoformat(event["ts"]).timestamp() * 1000),
        "user_id": event.get("user_id", ""),
    }
    if "device_id" in event:
        out["device"] = _hash("device", event["device_id"])
    if "ip" in event:
        address = ip_address(event["ip"])
        if not address.is_private:
            network = f"{IPv6Address(int(address) >> 64 << 64)}/64" if address.version == 6 else str(address)
            out["ip"] = _hash("ip", network)
    if "card" in event:
        out["card"] = _hash("card", event["card"].replace(" ", "").replace("-", ""))
    if "email" in event:
        out["email"] = _hash("email", validate_email(event["email"], check_deliverability=False).normalized.lower())
    if "phone" in event:
        number = phonenumbers.parse(event["phone"], event.get("country"))
        if not phonenumbers.is_possible_number(number):
            raise ValueError("phone")
        out["phone"] = _hash("phone", phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    if "address" in event:
        out["address"] = _hash("address", " ".join(event["address"].casefold().split()))
    if "amount" in event:
        out["amount_minor"] = int(Decimal(event["amount"]) * 100)
    if "order_id" in event:
        out["order"] = _hash("order", event["order_id"])
    return out


def _hash(kind: str, text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16, key=KEY, person=kind.encode()).digest()


def first_seen(lines: Sequence[bytes]) -> tuple[int, float]:
    """Returns how many identifiers the events carry, and the share of them that no event before had."""
    seen: set[tuple[str, str]] = set()
    count = 0
    for line in lines:
        event = json.loads(line)
        for name in IDENTIFIERS:
            if name in event:
                count += 1
                seen.add((name, event[name]))
    return count, len(seen) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000, help="events of the mix (default: 300,000)")
    parser.add_argument("--users", type=int, default=1_000_000, help="users they are drawn from (default: 1,000,000)")
    parser.add_argument("--repeat", type=int, default=3, help="runs, of which the best counts (default: 3)")
    options = parser.parse_args()
    lines = list(mix_lines(options.events, options.users))
    count, fresh = first_seen(lines)
    batches = raw_batches(lines)
    runs = [(ours(batches, Pseudonymiser(KEY)), ours(batches, TwoKeys(KEY[::-1], KEY))) for _ in range(options.repeat)]
    seconds, dead = min(one for one, _ in runs)
    rotating, _ = min(two for _, two in runs)
    some = list(islice(lines, RIVAL_EVENTS))
    theirs = min(rival(some) for _ in range(options.repeat)) / len(some) * len(lines)

    table = Table(title=f"Decode {len(lines):,} events of the mix in batches of {BATCH:,} (best of {options.repeat})")
    for column in ("", "CPU s", "µs/event", "events/s per core", "of the bar"):
        table.add_column(column, justify="right" if column else "left")
    for name, cpu in (
        ("fraudgraph", seconds),
        ("while a store has two keys", rotating),
        ("json + libraries, per event", theirs),
    ):
        rate = len(lines) / cpu
        table.add_row(name, f"{cpu:.2f}", f"{cpu / len(lines) * 1e6:.2f}", f"{rate:,.0f}", f"{rate / BAR_PER_S:.2f} ×")
    table.add_row("bar", "", f"{1e6 / BAR_PER_S:.2f}", f"{BAR_PER_S:,}", "1.00 ×")
    console = Console()
    console.print(table)
    console.print(
        f"{count:,} identifiers, {fresh:.0%} of them first seen; none is remembered between batches, so that the share "
        f"does not matter to us; {dead} dead letters. The rival is measured on {len(some):,} of the events; ours is "
        f"{theirs / seconds:.1f} times as fast."
    )


if __name__ == "__main__":
    main()
