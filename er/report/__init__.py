"""One HTML file that shows a study: verdicts, charts, tables, provenance. It needs no network.

`charts.py` makes Vega-Lite specifications, `page.py` fills `data/report.html`.
"""
