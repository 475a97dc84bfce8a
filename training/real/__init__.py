"""Models on the real data sets, judged by time alone."""
