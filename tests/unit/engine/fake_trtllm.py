"""Stands in for convert_checkpoint.py, trtllm-build and nvidia-smi: it takes only what they take.

FAKE_TRTLLM says how it behaves: fail, disk_full, hang, deaf, wrong_batch, no_rank; each call is
noted in the file FAKE_TRTLLM_CALLS.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from er.engine import trtllm_options

VERSION = "0.19.0"


def main() -> None:
    tool, behaviour = Path(sys.argv[0]).name, os.environ.get("FAKE_TRTLLM", "")
    if tool == "nvidia-smi":
        print("NVIDIA H100 80GB HBM3\nNVIDIA H100 80GB HBM3")
        return
    with Path(os.environ["FAKE_TRTLLM_CALLS"]).open("a") as calls:
        calls.write(f"{tool}\n")
    print(f"[TRT-LLM] [I] {tool} at work", flush=True)
    trtllm_options.check(VERSION, [tool, *sys.argv[1:]])
    given = dict(zip(sys.argv[1:], sys.argv[2:], strict=False))
    output = Path(given["--output_dir"])
    output.mkdir(parents=True)
    if tool == "convert_checkpoint.py":
        quant_algo = "W8A16" if "--use_weight_only" in sys.argv else None
        if "--smoothquant" in sys.argv:
            quant_algo = "W8A8_SQ_PER_CHANNEL_PER_TOKEN_PLUGIN"
        write(output / "config.json", {**given, "quant_algo": quant_algo})
        return
    (output / "rank0.engine").write_bytes(b"half an engine")
    if behaviour == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if behaviour in ("hang", "deaf"):
        time.sleep(600)
    if behaviour == "fail":
        sys.exit("[TRT-LLM] [E] error: Unsupported architecture")
    if behaviour == "disk_full":
        sys.exit("OSError: [Errno 28] No space left on device")
    engine(output, given, json.loads((Path(given["--checkpoint_dir"]) / "config.json").read_text()))
    if behaviour == "wrong_batch":
        write(
            output / "config.json",
            {**json.loads((output / "config.json").read_text()), "build_config": {}},
        )
    if behaviour == "no_rank":
        (output / "rank0.engine").unlink()


def engine(output: Path, given: dict[str, str], converted: dict[str, str]) -> None:
    for rank in range(int(converted["--tp_size"])):
        (output / f"rank{rank}.engine").write_bytes(b"an engine")
    limits = ("max_batch_size", "max_num_tokens", "max_input_len", "max_seq_len")
    config = {
        "version": VERSION,
        "pretrained_config": {
            "architecture": "LlamaForCausalLM",
            "dtype": converted["--dtype"],
            "mapping": {"tp_size": int(converted["--tp_size"])},
            "quantization": {"quant_algo": converted["quant_algo"]},
        },
        "build_config": {
            **{name: int(given[f"--{name}"]) for name in limits},
            "plugin_config": {"tokens_per_block": int(given["--tokens_per_block"])},
        },
    }
    write(output / "config.json", config)


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


if __name__ == "__main__":
    main()
