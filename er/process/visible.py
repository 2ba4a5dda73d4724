"""The GPUs that this process may use."""

import os

from er.errors import ErError


def visible_gpus(count: int) -> list[int]:
    """The first `count` numbers of CUDA_VISIBLE_DEVICES, or of all GPUs if it is not set.

    Raises ErError when the variable names fewer, or names GPUs otherwise than by number.
    """
    listed = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    numbers = [name.strip() for name in listed.split(",") if name.strip()]
    if not numbers:
        return list(range(count))
    if len(numbers) < count or not all(number.isdigit() for number in numbers):
        raise ErError(
            f"CUDA_VISIBLE_DEVICES is {listed}: the deployment needs {count} GPUs, by number: ask "
            "for as many, or unset it"
        )
    return [int(number) for number in numbers[:count]]
