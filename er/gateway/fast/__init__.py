"""The fast gateway: asyncio protocols on uvloop that pass bytes on without looking into tokens."""
