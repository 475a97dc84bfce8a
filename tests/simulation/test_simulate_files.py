"""What a world writes: the same bytes in every process, and nothing that the decoder refuses."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import msgspec
import phonenumbers
import pytest
from email_validator import validate_email

from fraudgraph.errors import DependencyError
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.kinds import EventType
from fraudgraph.events.pseudonyms import Pseudonymiser
from fraudgraph.events.schema import Event, UserEvent
from fraudgraph.events.vault import Vault
from fraudgraph.simulate.spec import WorldSpec
from fraudgraph.simulate.world import simulate, write_world
from fraudgraph.streams.port import RawBatch

SPEC = WorldSpec(seed=5, users=1500, days=45, ring_share=0.06)

_SCRIPT = """
import sys
from pathlib import Path
from fraudgraph.simulate.spec import WorldSpec
from fraudgraph.simulate.world import simulate, write_world
write_world(simulate(WorldSpec(seed=5, users=1500, days=45, ring_share=0.06)), Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("world")
    write_world(simulate(SPEC), target)
    return target


@pytest.fixture(scope="module")
def lines(folder: Path) -> list[bytes]:
    return (folder / "events.jsonl").read_bytes().splitlines()


def test_the_same_spec_writes_the_same_bytes_in_another_process(folder: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    subprocess.run([sys.executable, "-c", _SCRIPT, str(tmp_path)], check=True, env=environment)
    for name in ("events.jsonl", "truth.json"):
        assert digest(folder / name) == digest(tmp_path / name), name


def test_another_seed_is_another_world(folder: Path) -> None:
    other = b"".join(simulate(replace(SPEC, seed=6)).lines())
    assert hashlib.sha256(other).digest() != digest(folder / "events.jsonl")


def test_the_decoder_takes_every_line(lines: list[bytes]) -> None:
    decoder = Decoder(Pseudonymiser(b"k" * 32), Vault(b"v" * 32), default_region=None, default_currency=None)
    places = list(range(len(lines)))
    batch = decoder.decode(RawBatch(lines, ["file"], [0] * len(lines), places, [x + 1 for x in places]))
    assert batch.dead_letters == []
    assert len(batch) == len(lines)
    assert len(set(batch.event_key)) == len(lines)
    assert (batch.ts_ms[1:] >= batch.ts_ms[:-1]).all()
    assert set(batch.type.tolist()) == {
        int(kind) for kind in EventType if kind not in (EventType.TRANSFER, EventType.LABEL, EventType.COMMAND)
    }


def test_identifiers_are_of_the_real_kinds(lines: list[bytes]) -> None:
    events: list[UserEvent] = [msgspec.json.decode(line, type=Event) for line in lines]
    phones = {event.phone for event in events if event.phone}
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(phone)) for phone in phones)
    addresses = {event.ip for event in events if event.ip}
    assert all(ip_address(ip).is_global for ip in addresses)
    assert {ip_address(ip).version for ip in addresses} == {4, 6}
    for email in {event.email for event in events if event.email}:
        validate_email(email, check_deliverability=False)
    numbers = {event.card for event in events if event.card and event.card.isdigit()}
    assert all(len(number) == 16 and luhn(number) for number in numbers)


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DependencyError, match="cannot write the world"):
        write_world(simulate(WorldSpec(seed=1, users=100, days=1)), tmp_path / "taken")


def test_a_small_world_without_rings_still_has_shoppers() -> None:
    world = simulate(WorldSpec(seed=3, users=100, days=2, ring_share=0.0))
    assert world.rings == []
    assert Counter(world.events.ring.tolist()) == {-1: len(world.events)}
    assert len(world.events) > 10


def luhn(number: str) -> bool:
    """Returns whether the digits pass the check of ISO/IEC 7812-1."""
    doubled = (sum(divmod(int(digit) * 2, 10)) for digit in number[-2::-2])
    return (sum(doubled) + sum(map(int, number[-1::-2]))) % 10 == 0


def digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
