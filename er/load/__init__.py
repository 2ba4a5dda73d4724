"""Users: what they send, when, and the time of everything they receive."""
