"""Benchmarks and numbered questions; stays in the checkout."""
