"""Figures of the paper, drawn from published runs."""
