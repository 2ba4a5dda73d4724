"""The routing gateway: classify a prompt, relay the stream of the chosen expert."""
