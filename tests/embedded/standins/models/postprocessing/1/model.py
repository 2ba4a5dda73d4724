"""Stands in for the container's detokenizer: a token is told as its number."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    @staticmethod
    def answer(request):
        tokens = pb_utils.get_input_tensor_by_name(request, "TOKENS_BATCH").as_numpy().ravel()
        text = " ".join(f"{token}" for token in tokens)
        output = pb_utils.Tensor("OUTPUT", np.array([text.encode()], dtype=np.object_))
        return pb_utils.InferenceResponse([output])
