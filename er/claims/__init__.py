"""Held against the paper: what it claims, as formulas over measured points, and the verdicts.

`statements.py` reads experiments/NAME/claims.yaml, `resamples.py` bootstraps, `comparisons.py`
holds two values against each other, `verdicts.py` decides, `documents.py` writes.
"""
