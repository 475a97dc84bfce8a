"""The columnar hot graph: who used what, when, how strongly."""
