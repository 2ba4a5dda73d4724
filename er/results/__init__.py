"""Plain values that rooms meet in, and the files they are kept in."""
