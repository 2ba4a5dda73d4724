"""A model for Triton's Python backend that says the prompt's words again, one event each.

Prompts that begin with `!` are orders: `!die` kills the model's process, `!raise` fails.
"""

import os
import signal
import threading
import time
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class TritonPythonModel:
    def initialize(self, args: dict[str, Any]) -> None:
        import json

        parameters = json.loads(args["model_config"])["parameters"]
        self.gap_s = float(parameters["gap_s"]["string_value"])
        if parameters["crash"]["string_value"] == "yes":
            raise RuntimeError("the echo model was told to crash at start")

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            threading.Thread(target=self.answer, args=[request], daemon=True).start()

    def answer(self, request: Any) -> None:
        sender = request.get_response_sender()
        words = str(self.value(request, "text_input"), "utf-8").split()
        if words[0] == "!die":
            os.kill(os.getpid(), signal.SIGKILL)
        if words[0] == "!raise":
            sender.send(pb_utils.InferenceResponse(error=pb_utils.TritonError("told to")), FINAL)
            return
        count = int(self.value(request, "max_tokens"))
        for index in range(count):
            text = np.array([words[index % len(words)].encode()], dtype=np.object_)
            outputs = [pb_utils.Tensor("text_output", text)]
            if index == count - 1:
                lateness = np.zeros(count, dtype=np.float32)
                outputs.append(pb_utils.Tensor("token_lateness", lateness))
            sender.send(pb_utils.InferenceResponse(outputs))
            time.sleep(self.gap_s)
        sender.send(flags=FINAL)

    @staticmethod
    def value(request: Any, name: str) -> Any:
        return pb_utils.get_input_tensor_by_name(request, name).as_numpy().ravel()[0]
