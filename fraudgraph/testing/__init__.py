"""Conformance suites and fault-injecting fakes, for anyone's adapter."""
