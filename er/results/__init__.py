"""Plain values that other packages exchange, and the files in which they are stored."""
