"""Makes a tiny Falcon in a folder: a random one, or one that learned a text by heart. Runs where transformers is.

python tiny_falcon.py OUT [TEXT_FILE | PAIRS.jsonl]

Given pairs of `training.narrator` it is a random one whose tokenizer knows their words, ready to be tuned on them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import FalconConfig, FalconForCausalLM, PreTrainedTokenizerFast

END = "<|endoftext|>"
ANSWER = "assistant:"
EVIDENCE_THEN_ANSWER = "{% for m in messages %}{% if m['role'] == 'user' %}{{ m['content'] }}{% endif %}{% endfor %}"
"""Leaves out the instructions, which are the same for every ring: a tuned model knows them."""

STEPS_MAX = 2_000
SURE = 0.003
"""Mean loss at which the text is known by heart: greedy decoding then makes no mistake."""


def main(out: Path, text: str | None) -> None:
    """Writes model and tokenizer. Without pairs the chat template says nothing of the messages, so that every answer
    is the text."""
    pairs = [json.loads(line)["messages"] for line in text.splitlines()] if text and text[:12] == '{"messages":' else []
    words = [message["content"] for messages in pairs for message in messages[1:]] or [text or "any words will do"]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1500 if pairs else 600, special_tokens=[END], initial_alphabet=alphabet)
    bpe.train_from_iterator(words, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=END, pad_token=END)
    tokenizer.chat_template = (EVIDENCE_THEN_ANSWER if pairs else "") + ANSWER
    torch.manual_seed(7)
    config = FalconConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        multi_query=True,
        new_decoder_architecture=False,
        bos_token_id=0,
        eos_token_id=0,
        max_position_embeddings=4096,
        attention_dropout=0.0,
        hidden_dropout=0.0,
    )
    model = FalconForCausalLM(config)
    if text is not None and not pairs:
        _learn(model, tokenizer(ANSWER).input_ids, [*tokenizer(text).input_ids, 0])
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def _learn(model: FalconForCausalLM, prompt: list[int], answer: list[int]) -> None:
    ids = torch.tensor([prompt + answer])
    labels = torch.tensor([[-100] * len(prompt) + answer])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(STEPS_MAX):
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < SURE:
            print(f"{len(answer)} tokens by heart after {step} steps")
            return
    raise SystemExit(f"not learned in {STEPS_MAX} steps: loss {loss.item():.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]).read_text() if len(sys.argv) > 2 else None)
