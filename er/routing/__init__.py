"""The k-means classifier that sends each prompt to one expert."""
