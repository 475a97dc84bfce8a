"""Fits and checks what `fraudgraph.scoring` ships; needs no label of a real shop."""
