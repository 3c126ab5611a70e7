"""Benchmarks: each measures one daemon beside the peer that it replaces. Run by scripts/bench, never installed."""
