"""Fine-tunes a causal language model on pairs: a LoRA, or all weights of a small one. Imports nothing of fraudgraph.

What it writes is what servers read: `model/` (weights, tokenizer and chat template) for vLLM and transformers, and with
a LoRA also `adapter/`, which vLLM serves beside the base.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

NO_LABEL = -100
WARM_UP = 0.03
"""Part of the steps over which the rate rises; it falls by a cosine afterwards (Loshchilov and Hutter 2017)."""
LEAST_RATE = 0.1
LARGEST_GRADIENT = 1.0


@dataclass(frozen=True)
class Example:
    """Token ids of prompt and answer; only those of the answer are learnt."""

    ids: list[int]
    prompt: int

    def tensors(self, device: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns ids and labels, 1 x n each."""
        labels = [NO_LABEL] * self.prompt + self.ids[self.prompt :]
        return torch.tensor([self.ids], device=device), torch.tensor([labels], device=device)


def run(chosen: argparse.Namespace) -> None:
    """Learns, and writes the model with `training.json`, which says from what and how far."""
    torch.manual_seed(chosen.seed)
    if chosen.device == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch finds no GPU: leave --device out")
    tokenizer = AutoTokenizer.from_pretrained(chosen.base)
    dtype = torch.bfloat16 if chosen.device == "cuda" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(chosen.base, dtype=dtype).to(chosen.device)
    model.config.use_cache = False
    fit = _examples(chosen.pairs / "fit.jsonl", tokenizer, chosen.most_tokens)
    check = _examples(chosen.pairs / "check.jsonl", tokenizer, chosen.most_tokens)
    if not fit:
        sys.exit("there is nothing to learn from: run `pairs` first, or raise --most-tokens")
    said: dict[str, Any] = {"base": str(chosen.base), "method": chosen.method, "fit": len(fit), "check": len(check)}
    said["before"] = _loss(model, check, chosen.device)
    if chosen.method == "lora":
        model = _with_lora(model, chosen.rank)
    said["losses"] = _learn(model, fit, chosen)
    said["after"] = _loss(model, check, chosen.device)
    _write(model, tokenizer, chosen, said)


def _examples(path: Path, tokenizer: Any, most: int) -> list[Example]:
    """Returns the pairs of a file that fit, tokenized as a server does it: by the chat template."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    found = []
    for row in rows:
        *asked, answer = row["messages"]
        text = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        prompt = tokenizer(text, add_special_tokens=False).input_ids
        reply = tokenizer(answer["content"], add_special_tokens=False).input_ids
        found.append(Example([*prompt, *reply, tokenizer.eos_token_id], len(prompt)))
    short = [example for example in found if len(example.ids) <= most]
    if len(short) < len(found):
        print(f"{path.name}: {len(found) - len(short)} of {len(found)} pairs are too long", file=sys.stderr)
    return short


def _with_lora(model: Any, rank: int) -> Any:
    """Returns the model with trainable low-rank updates of all its linear layers (Hu et al. 2022)."""
    from peft import LoraConfig, get_peft_model

    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()
    rules = LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(model, rules)


def _learn(model: Any, fit: Sequence[Example], chosen: argparse.Namespace) -> list[float]:
    """Returns the mean loss of each epoch."""
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=chosen.rate, weight_decay=0.0)
    total = chosen.epochs * math.ceil(len(fit) / chosen.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, total))
    order, rng = list(fit), random.Random(chosen.seed)
    losses: list[float] = []
    model.train()
    for epoch in range(chosen.epochs):
        rng.shuffle(order)
        epoch_loss = 0.0
        for start in range(0, len(order), chosen.batch):
            batch = order[start : start + chosen.batch]
            for example in batch:
                ids, labels = example.tensors(chosen.device)
                loss = model(input_ids=ids, labels=labels).loss / len(batch)
                loss.backward()
                epoch_loss += loss.item() * len(batch)
            torch.nn.utils.clip_grad_norm_(weights, LARGEST_GRADIENT)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        losses.append(epoch_loss / len(order))
        if epoch == 0 or (epoch + 1) % max(1, chosen.epochs // 20) == 0:
            print(f"epoch {epoch + 1} of {chosen.epochs}: loss {losses[-1]:.4f}", file=sys.stderr, flush=True)
        if losses[-1] < chosen.enough:
            break
    return losses


def _rate(step: int, total: int) -> float:
    warm = max(1, round(WARM_UP * total))
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, total - warm)
    return LEAST_RATE + (1.0 - LEAST_RATE) * 0.5 * (1.0 + math.cos(math.pi * done))


def _loss(model: Any, examples: Sequence[Example], device: str) -> float | None:
    """Returns the mean loss over what was not learnt from; None where there is nothing of it."""
    if not examples:
        return None
    model.eval()
    with torch.no_grad():
        losses = [
            model(input_ids=ids, labels=labels).loss.item() for ids, labels in (e.tensors(device) for e in examples)
        ]
    return sum(losses) / len(losses)


def _write(model: Any, tokenizer: Any, chosen: argparse.Namespace, said: dict[str, Any]) -> None:
    chosen.out.mkdir(parents=True, exist_ok=True)
    if chosen.method == "lora":
        model.save_pretrained(chosen.out / "adapter")
        model = model.merge_and_unload()
    model.config.use_cache = True
    model.save_pretrained(chosen.out / "model")
    tokenizer.save_pretrained(chosen.out / "model")
    files = [chosen.pairs / name for name in ("fit.jsonl", "check.jsonl")]
    said["pairs"] = hashlib.blake2b(b"".join(f.read_bytes() for f in files), digest_size=16).hexdigest()
    options = ("rank", "epochs", "rate", "batch", "seed", "device")
    said |= {name: getattr(chosen, name) for name in options if name != "rank" or chosen.method == "lora"}
    (chosen.out / "training.json").write_text(json.dumps(said, indent=2) + "\n")
    print(f"wrote {chosen.out / 'model'}; loss where it was not learnt: {said['before']} before, {said['after']} after")
