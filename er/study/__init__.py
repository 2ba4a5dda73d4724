"""One job from its configuration to its run directory, and what a person sees of it."""
