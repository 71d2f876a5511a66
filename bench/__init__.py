"""Measures conversions beside the tools that do the same work; run by ``bin/bench``."""
