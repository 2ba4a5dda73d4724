"""Stands in for the container's script that joins the models: tokens, one at a time, to text."""

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for text in self.texts(request):
                output = pb_utils.Tensor("text_output", text)
                sender.send(pb_utils.InferenceResponse([output]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def texts(self, request):
        asked = {name: self.value(request, name) for name in ("text_input", "max_tokens", "stream")}
        (ready,) = self.ask(
            "preprocessing",
            {"QUERY": asked["text_input"], "REQUEST_OUTPUT_LEN": asked["max_tokens"]},
            ["INPUT_ID", "REQUEST_INPUT_LEN", "REQUEST_OUTPUT_LEN"],
        )
        tokens = {
            "input_ids": ready["INPUT_ID"],
            "input_lengths": ready["REQUEST_INPUT_LEN"],
            "request_output_len": ready["REQUEST_OUTPUT_LEN"],
            "streaming": asked["stream"],
        }
        for step in self.ask("tensorrt_llm", tokens, ["output_ids", "sequence_length"]):
            if not step:  # the last response holds nothing
                return
            (text,) = self.ask(
                "postprocessing",
                {"TOKENS_BATCH": step["output_ids"], "SEQUENCE_LENGTH": step["sequence_length"]},
                ["OUTPUT"],
            )
            yield text["OUTPUT"]

    @staticmethod
    def ask(model, inputs, outputs):
        tensors = [pb_utils.Tensor(name, value) for name, value in inputs.items()]
        request = pb_utils.InferenceRequest(
            model_name=model, inputs=tensors, requested_output_names=outputs
        )
        decoupled = model == "tensorrt_llm"
        answers = request.exec(decoupled=decoupled)
        for answer in answers if decoupled else [answers]:
            if answer.has_error():
                raise pb_utils.TritonModelException(answer.error().message())
            yield {tensor.name(): tensor.as_numpy() for tensor in answer.output_tensors()}

    @staticmethod
    def value(request, name):
        return pb_utils.get_input_tensor_by_name(request, name).as_numpy()
