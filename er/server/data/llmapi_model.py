"""Model `tensorrt_llm` of the LLM-API flow, as Triton's Python backend starts it.

The container's own model (`container_model.py`, a link beside this file) repeats the whole text in
every event of a stream; the contract is one piece for each. All else is left to it.
"""

from typing import Any

import container_model  # type: ignore[import-not-found]


class View:
    """An object with some of its attributes replaced."""

    def __init__(self, of: Any, **replaced: Any) -> None:
        self._of = of
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)


class TritonPythonModel(container_model.TritonPythonModel):  # type: ignore[misc]
    """The container's, but for what an event says."""

    def _create_response(self, request_output: Any, output_config: Any) -> Any:
        outputs = [View(output, text=output.text_diff) for output in request_output.outputs]
        return super()._create_response(View(request_output, outputs=outputs), output_config)
