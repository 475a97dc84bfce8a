"""The network in PyTorch Geometric: what is trained, and what the incremental engine is held to."""
