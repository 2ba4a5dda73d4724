"""These tests are collected only where TensorRT-LLM is: inside its container, on a GPU node."""

import shutil

collect_ignore = [] if shutil.which("trtllm-build") else ["test_trtllm.py"]
