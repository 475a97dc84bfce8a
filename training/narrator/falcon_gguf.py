"""Writes a Falcon of the first architecture (7B's) as GGUF, llama.cpp's format. Runs where gguf and safetensors are.

python falcon_gguf.py MODEL_FOLDER OUT.gguf. Every other model, Falcon3 (a Llama) among them: llama.cpp's own
`convert_hf_to_gguf.py`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file

PARTS = {
    "input_layernorm": "attn_norm",
    "self_attention.query_key_value": "attn_qkv",
    "self_attention.dense": "attn_output",
    "mlp.dense_h_to_4h": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down",
}


def main(model: Path, out: Path) -> None:
    """Writes weights, tokenizer and chat template; names as llama.cpp's falcon has them."""
    config = json.loads((model / "config.json").read_text())
    if config["model_type"] != "falcon" or config["new_decoder_architecture"] or not config["multi_query"]:
        sys.exit(f"{model} is no Falcon of the first architecture: use llama.cpp's convert_hf_to_gguf.py")
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    weights = load_file(model / "model.safetensors")
    layers, width = config["num_hidden_layers"], config["hidden_size"]

    writer = gguf.GGUFWriter(str(out), "falcon")
    writer.add_tensor_data_layout("jploski")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(4 * width)
    writer.add_block_count(layers)
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(1)
    writer.add_layer_norm_eps(config["layer_norm_epsilon"])

    words = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    special = {token["content"] for token in tokenizer["added_tokens"]}
    kinds = [gguf.TokenType.CONTROL if word in special else gguf.TokenType.NORMAL for word in words]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template((model / "chat_template.jinja").read_text())

    names = {"transformer.word_embeddings": "token_embd", "transformer.ln_f": "output_norm"}
    for layer in range(layers):
        names |= {f"transformer.h.{layer}.{part}": f"blk.{layer}.{short}" for part, short in PARTS.items()}
    for name, values in weights.items():
        owner, _, leaf = name.rpartition(".")
        writer.add_tensor(f"{names[owner]}.{leaf}", values.astype(np.float32))
    writer.add_tensor("output.weight", weights["transformer.word_embeddings.weight"].astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
