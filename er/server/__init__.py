"""Starting, proving ready and stopping Triton."""
