"""The gateway written the usual way, on aiohttp: the kinds `aiohttp` and `sklearn`."""
