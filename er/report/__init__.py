"""One HTML file of a study."""
