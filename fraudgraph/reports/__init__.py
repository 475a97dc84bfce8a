"""One report model, many renderers, and the picture."""
