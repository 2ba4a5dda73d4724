"""Stands in for the container's tokenizer: a token is the number of a word's characters."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    @staticmethod
    def answer(request):
        text = pb_utils.get_input_tensor_by_name(request, "QUERY").as_numpy().ravel()[0]
        max_tokens = pb_utils.get_input_tensor_by_name(request, "REQUEST_OUTPUT_LEN").as_numpy()
        tokens = np.array([[len(word) for word in text.split()]], dtype=np.int32)
        empty = np.zeros((1, 2, 0), dtype=np.int32)
        end = pb_utils.get_input_tensor_by_name(request, "END_ID")
        one = np.array([[1]], dtype=np.int32)
        outputs = {
            "INPUT_ID": tokens,
            "REQUEST_INPUT_LEN": np.array([[tokens.size]], dtype=np.int32),
            "DECODER_INPUT_ID": tokens,
            "REQUEST_DECODER_INPUT_LEN": one,
            "BAD_WORDS_IDS": empty,
            "STOP_WORDS_IDS": empty,
            "EMBEDDING_BIAS": np.zeros((1, 0), dtype=np.float32),
            "REQUEST_OUTPUT_LEN": max_tokens.astype(np.int32),
            "OUT_END_ID": one if end is None else end.as_numpy(),
            "OUT_PAD_ID": one,
            "OUT_PROMPT_TABLE_EXTRA_IDS": np.zeros((1, 1), dtype=np.uint64),
        }
        return pb_utils.InferenceResponse([pb_utils.Tensor(n, v) for n, v in outputs.items()])
