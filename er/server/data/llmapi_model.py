"""Model `tensorrt_llm` of the LLM-API flow, as Triton's Python backend starts it.

The container's own model (`container_model.py`, a link beside this file) repeats the whole text in
every event of a stream; the contract is one piece for each. Nor does it read `end_id`, of which -1
means that no token ends the answer. Everything else is the container's.
"""

from typing import Any

import container_model  # type: ignore[import-not-found]
import triton_python_backend_utils as pb_utils  # exists inside Triton only

NO_END = -1


class View:
    """An object with some of its attributes replaced."""

    def __init__(self, of: Any, **replaced: Any) -> None:
        self._of = of
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)


class TritonPythonModel(container_model.TritonPythonModel):  # type: ignore[misc]
    """The container's model, except for the text of an event and what ends an answer."""

    def _convert_request(self, request: Any) -> Any:
        prompt, sampling, *rest = super()._convert_request(request)
        end_id = pb_utils.get_input_tensor_by_name(request, "end_id")
        if end_id is not None:
            end = end_id.as_numpy().item()
            # Beside the end token a model's own settings may name others that end an answer.
            sampling = {**sampling, **({"ignore_eos": True} if end == NO_END else {"end_id": end})}
        return prompt, sampling, *rest

    def _create_response(self, request_output: Any, output_config: Any) -> Any:
        outputs = [View(output, text=output.text_diff) for output in request_output.outputs]
        return super()._create_response(View(request_output, outputs=outputs), output_config)
