"""torchrun's own engine for one job after another, each of two processes that are forked: torch is imported once.

A job is a line on stdin: a JSON list of a script (of this folder, or its whole path) and its arguments. The answer is a
line on stdout, "ended: 0" or "ended: 1", after what the processes print.
"""

import json
import runpy
import sys
from pathlib import Path

import torch._dynamo  # noqa: F401  (what optimizers import when they are made; here once for all processes)
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

import pix2pix.training  # noqa: F401

ENGINE = {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "monitor_interval": 0.02}
TWO = LaunchConfig(1, 1, 2, start_method="fork", **ENGINE)


def run(script, *words):
    sys.argv = [script, *words]
    try:
        runpy.run_path(str(Path(__file__).parent / script), run_name="__main__")
    except SystemExit as stop:
        if stop.code:
            raise RuntimeError(f"exit code {stop.code}") from None


def main():
    for line in sys.stdin:
        try:
            elastic_launch(TWO, run)(*json.loads(line))
            code = 0
        except ChildFailedError:
            code = 1
        print(f"ended: {code}", flush=True)


if __name__ == "__main__":
    main()
