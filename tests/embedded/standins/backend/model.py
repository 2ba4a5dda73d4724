"""Stands in for the C++ backend: streams the prompt's tokens again, one response each."""

import json
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class TritonPythonModel:
    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        told = {name: value["string_value"] for name, value in parameters.items()}
        with Path(told["gpt_model_path"], "config.json").open() as file:
            json.load(file)
        assert told["gpt_model_type"] == "inflight_fused_batching"

    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            assert self.value(request, "streaming"), "the client asked for no stream"
            tokens = self.value(request, "input_ids").ravel()
            for index in range(int(self.value(request, "request_output_len").ravel()[0])):
                sender.send(self.response(tokens[index % tokens.size]))
            sender.send(flags=FINAL)

    @staticmethod
    def response(token):
        ids = pb_utils.Tensor("output_ids", np.array([[[token]]], dtype=np.int32))
        length = pb_utils.Tensor("sequence_length", np.array([[1]], dtype=np.int32))
        return pb_utils.InferenceResponse([ids, length])

    @staticmethod
    def value(request, name):
        return pb_utils.get_input_tensor_by_name(request, name).as_numpy()
