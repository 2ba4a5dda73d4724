"""Stands in for the container's script that joins the models; the ensemble is what is tested."""

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
        for request in requests:
            error = pb_utils.TritonError("no stand-in for this model")
            request.get_response_sender().send(pb_utils.InferenceResponse(error=error), final)
