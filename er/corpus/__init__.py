"""Texts, tokens and packaged data."""
