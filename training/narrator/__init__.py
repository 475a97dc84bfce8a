"""Teaches a language model of your own to plan narratives: pairs of evidence and plan, a fine-tuning, and its export.

`python -m training.narrator pairs` needs nothing but fraudgraph; `tune` and `gguf` run wherever PyTorch and
transformers are (extra `narrator`), also on a machine without fraudgraph: they read files only.
"""
