"""Texts, tokenizers and packaged data."""
