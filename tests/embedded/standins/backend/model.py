"""Stands in for the C++ backend: streams the prompt's tokens again, one response each.

What that backend reads without a default must be set here too. Unless told that nothing ends it
(end_id -1), an answer to a prompt whose first token is END ends after as many tokens as the prompt
has, in a response of its own without tokens.
"""

import json
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

NEEDED = (  # tests/contract/backend_0.19.0.json
    "gpt_model_type",
    "guided_decoding_backend",
    "tokenizer_dir",
    "xgrammar_tokenizer_info_path",
)
END = 3
NO_END = -1
FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class TritonPythonModel:
    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        given = {name: value["string_value"] for name, value in parameters.items()}
        for name in NEEDED:
            if name not in given:
                raise RuntimeError(f"Cannot find parameter with name: {name}")
        with Path(given["gpt_model_path"], "config.json").open() as file:
            json.load(file)
        assert given["gpt_model_type"] == "inflight_fused_batching"

    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            assert self.value(request, "streaming"), "the client asked for no stream"
            tokens = self.value(request, "input_ids").ravel()
            max_tokens = length = int(self.value(request, "request_output_len").ravel()[0])
            if tokens[0] == END and self.value(request, "end_id").ravel()[0] != NO_END:
                length = min(max_tokens, tokens.size)
            for index in range(length):
                sender.send(self.response([tokens[index % tokens.size]]))
            if length < max_tokens:
                sender.send(self.response([]))
            sender.send(flags=FINAL)

    @staticmethod
    def response(tokens):
        ids = pb_utils.Tensor("output_ids", np.array([[tokens]], dtype=np.int32))
        length = pb_utils.Tensor("sequence_length", np.array([[len(tokens)]], dtype=np.int32))
        return pb_utils.InferenceResponse([ids, length])

    @staticmethod
    def value(request, name):
        return pb_utils.get_input_tensor_by_name(request, name).as_numpy()
