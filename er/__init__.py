"""Reproducible serving experiments for routed large language models."""

__version__ = "0.1.0"
