"""A configuration as values that JSON can hold."""

import math
from enum import Enum
from typing import Any


def plain(value: Any) -> Any:
    """Nested dictionaries, lists and scalars; an infinite number as the text `inf`."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return str(value)
    return plain(vars(value)) if hasattr(value, "__dataclass_fields__") else value
