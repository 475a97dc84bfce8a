"""Pairs to learn from: what the client sends about a ring, and the best plan for it, as messages of a chat."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Final

import msgspec

from fraudgraph.app import open_reader
from fraudgraph.cases.reasons import Verdict
from fraudgraph.cli.evaluate_narrator import simulated
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.narrative.claims import Plan, write_plan
from fraudgraph.narrative.evidence import Evidence, make_evidence
from fraudgraph.narrative.kept import kept_plan
from fraudgraph.narrative.llm.prompt import plan_prompt, prompt_hash
from fraudgraph.narrative.verifier import VERIFIER, verify
from fraudgraph.settings import load_settings
from fraudgraph.stores.port import StoreReader
from fraudgraph.testing.narrative_judge import JudgedRing
from training.narrator.plans import best_plan

FILES: Final = ("fit.jsonl", "check.jsonl")


class Pair(msgspec.Struct, frozen=True):
    """One example, in the form that chat models are fine-tuned with everywhere.

    Attributes:
        messages: system, user and assistant, word for word as `narrative.llm` sends and expects them.
        source: `search` (the template's plan and what a search added) or `accepted` (told in a shop, and borne out).
        world: seed of the simulated shop, 0 for a real one. Nothing of one world is in both files.
    """

    messages: tuple[dict[str, str], ...]
    source: str
    world: int


def run(chosen: argparse.Namespace) -> None:
    """Writes the two files and `pairs.json`, which says what they are made of."""
    flags = dict(knob.partition("=")[::2] for knob in chosen.knobs)
    flags |= {"store.url": chosen.store} if chosen.store else {}
    settings = load_settings(environment={}, flags=flags).settings
    counts: dict[str, int] = {}
    chosen.out.mkdir(parents=True, exist_ok=True)
    seeds = range(chosen.seed, chosen.seed + chosen.worlds + chosen.check_worlds)
    for name, worlds in zip(FILES, (seeds[: chosen.worlds], seeds[chosen.worlds :]), strict=True):
        pairs: list[Pair] = []
        for seed in worlds:
            rings = list(simulated(settings, seed, chosen.users, chosen.days))
            pairs += from_rings(rings, seed, settings.links, chosen.innocent)
        if name == FILES[0] and chosen.store:
            with closing(open_reader(settings)) as reader:
                pairs += accepted(reader, settings.links)
        counts[name] = len(pairs)
        (chosen.out / name).write_bytes(b"".join(msgspec.json.encode(pair) + b"\n" for pair in pairs))
        print(f"{name}: {len(pairs):,} pairs of {len(worlds)} worlds", file=sys.stderr)
    made = {"prompt": prompt_hash(False), "verifier": VERIFIER, "seeds": list(seeds), **counts}
    (chosen.out / "pairs.json").write_bytes(msgspec.json.encode(made) + b"\n")


def from_rings(rings: Sequence[JudgedRing], seed: int, policy: LinkPolicy, innocent: float = 1.0) -> Iterator[Pair]:
    """Yields a pair for each ring of a world, and for some of its innocent groups: `innocent` of them a ring."""
    fraud = [ring for ring in rings if not ring.innocent]
    calm = [ring for ring in rings if ring.innocent]
    random.Random(seed).shuffle(calm)
    for ring in (*fraud, *calm[: round(innocent * len(fraud))]):
        evidence = make_evidence(ring.snapshot, policy)
        yield pair(evidence, best_plan(evidence), "search", seed)


def pair(evidence: Evidence, plan: Plan, source: str, world: int = 0) -> Pair:
    """Returns what the client would send, and the answer that it should get."""
    prompt = plan_prompt(evidence.pack, reading=False)
    rounds = (("system", prompt.instructions), ("user", prompt.data), ("assistant", write_plan(plan).decode()))
    return Pair(tuple({"role": role, "content": text} for role, text in rounds), source, world)


def accepted(reader: StoreReader, policy: LinkPolicy) -> Iterator[Pair]:
    """Yields the narratives that an analyst's verdict bore out: told of the very ring that was decided on.

    Everything in such a plan holds, and it called the evidence sufficient where the ring was confirmed, and
    insufficient where it was found to be honest.
    """
    for decision in reader.decisions():
        snapshot, row = reader.frozen(decision.decision_id), reader.narrative(decision.ring_id)
        if not decision.stands or decision.verdict is Verdict.NEEDS_INFO or snapshot is None or row is None:
            continue
        evidence = make_evidence(snapshot, policy)
        plan = kept_plan(row.body)
        if plan is None or row.evidence_hash != evidence.hash:
            continue
        checked = verify(plan, evidence)
        if not checked.failures and checked.sufficient == (decision.verdict is Verdict.CONFIRMED):
            yield pair(evidence, plan, "accepted")


def read_pairs(lines: Iterable[bytes]) -> list[Pair]:
    """Returns pairs from the lines of a file."""
    decoder = msgspec.json.Decoder(Pair)
    return [decoder.decode(line) for line in lines]
