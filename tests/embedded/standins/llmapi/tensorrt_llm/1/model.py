"""Stands in for the container's LLM-API model: its inputs, its settings, its way of answering.

Like that model it repeats the whole text in every event. The words are the prompt's lengths; unless
told to ignore its end, an answer to a prompt that begins with "end" ends after that many words, in
an event of its own.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import triton_python_backend_utils as pb_utils
from helpers import scalar

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class TritonPythonModel:
    def initialize(self, args):
        settings = json.loads(Path(pb_utils.get_model_dir(), "model.yaml").read_text())
        self.triton = settings.pop("triton_config")
        config = json.loads(args["model_config"])
        self.decoupled = config["model_transaction_policy"]["decoupled"]
        self.params = config["parameters"]  # which the container's model reads, though empty
        if not Path(settings["model"], "config.json").is_file():
            raise RuntimeError(f"no config.json in {settings['model']}")

    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            assert self.decoupled
            assert self.triton["decoupled"]
            prompt, sampling, streaming, _ = self._convert_request(request)
            assert streaming, "the client asked for no stream"
            words = prompt.split()
            text, tokens = "", sampling["max_tokens"]
            if words[0] == "end" and not sampling.get("ignore_eos"):
                tokens = min(tokens, len(words))
            for index in range(tokens):
                piece = f"{len(words[index % len(words)])}"
                text += piece
                output = SimpleNamespace(text=text, text_diff=piece)
                result = SimpleNamespace(outputs=[output])
                sender.send(self._create_response(request_output=result, output_config={}))
            if tokens < sampling["max_tokens"]:
                ended = SimpleNamespace(outputs=[SimpleNamespace(text=text, text_diff="")])
                sender.send(self._create_response(request_output=ended, output_config={}))
            sender.send(flags=FINAL)

    def _convert_request(self, request):
        prompt = scalar(request, "text_input", b"").decode()
        sampling = {"max_tokens": scalar(request, "sampling_param_max_tokens", 32)}
        return prompt, sampling, scalar(request, "streaming", False), {}

    def _create_response(self, request_output, output_config):
        assert output_config == {}
        texts = [output.text.encode() for output in request_output.outputs]
        tensor = pb_utils.Tensor("text_output", np.array(texts, dtype=np.object_))
        return pb_utils.InferenceResponse([tensor])
