"""Training steps against what the machine can do: FLOP/s beside one large matrix product's, and the time of every part.

python benchmarks/hardware.py                      # a few minutes on two cores; on a GPU where there is one
python benchmarks/hardware.py --compile            # with torch.compile too; its warm-up time is printed
python benchmarks/hardware.py --sizes 64 --steps 2 --runs 1
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from measure import Report, make_photos, parser, timed
from steps import Parts, TrainingSteps, open_photos
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pix2pix.allocation import keep_freed_memory
from pix2pix.checkpoint import save_training
from pix2pix.data.dataset import ColorizationDataset
from pix2pix.device import choose_device, choose_precision
from pix2pix.errors import run_script
from pix2pix.recipes import RECIPES, STAGES
from pix2pix.recorder import SAMPLES, draw_samples

LOG_EVERY = 250  # steps, train.py's default
CACHED_SIZE = 256  # of the photos that crops are taken from
MOST = 0.05  # of a step, for data and logging together
SHARES = {"augmentation, Lab, wear, hints": 0.04, "optimizer": 0.02, "moving average, sums": 0.01}  # at most, of a step


def main() -> None:
    flags = parser(__doc__, runs=3)
    flags.add_argument("--sizes", type=int, nargs="+", default=[128, 256], help="in pixels (default: 128 256)")
    flags.add_argument("--steps", type=int, default=5, help="a run (default: 5)")
    flags.add_argument("--recipe", choices=RECIPES, default="default", help="default: default")
    flags.add_argument("--compile", action="store_true", help="measure with torch.compile too")
    flags.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    args = flags.parse_args()
    device = choose_device(args.device)
    if device.type == "cpu":
        keep_freed_memory()  # as train.py does
    report = Report("hardware", args, device)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_photos(folder / "photos", 64, 480, 360)
        peak = product_rate(device, args.runs)
        report.add(f"one large {choose_precision(device).name} matrix product", peak / 1e9, "GFLOP/s")
        for size in args.sizes:
            dataset = open_photos(folder / "photos", max(size, CACHED_SIZE), folder / "cache")
            for stage in STAGES:
                for compiled in (False, True) if args.compile else (False,):
                    measure(report, args, dataset, size, stage, device, peak, compiled=compiled)
    report.write()


def product_rate(device: torch.device, runs: int) -> float:
    """FLOP/s of a matrix product in the precision that training takes here: 4096 cubed, 16384 cubed on a GPU."""
    side = 16384 if device.type == "cuda" else 4096
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[choose_precision(device).name]
    one, two = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / median(repeated(lambda: one @ two, runs, device))


def repeated(work: Callable[[], object], runs: int, device: torch.device) -> list[float]:
    """The seconds of `runs` calls after one that does not count."""
    work()
    return [timed(work, device) for _ in range(runs)]


def measure(
    report: Report,
    args: argparse.Namespace,
    dataset: ColorizationDataset,
    size: int,
    stage: str,
    device: torch.device,
    peak: float,
    *,
    compiled: bool,
) -> None:
    label = f"{stage}, {size} px" + (", compiled" if compiled else "")
    steps = TrainingSteps(stage, args.recipe, size, dataset, device, compiled=compiled)
    report.add(f"{label}: the first two steps (warm-up)", timed(lambda: (steps.step(), steps.step()), device), "s")
    seconds = [timed(lambda: [steps.step() for _ in range(args.steps)], device) for _ in range(args.runs)]
    report.keep({label: seconds})
    step = median(seconds) / args.steps
    report.add(f"{label}: a step of {steps.recipe.batch_size}", steps.recipe.batch_size / step, "photos/s")
    if compiled:
        return
    with FlopCounterMode(display=False) as counter:
        steps.step()
    rate = counter.get_total_flops() / step
    report.add(f"{label}: achieved", rate / 1e9, "GFLOP/s")
    report.add(f"{label}: of the large product's", rate / peak)
    convolutions = convolution_seconds(steps, args.runs)
    report.add(f"{label}: of the step, its own convolutions alone take", convolutions / step)
    measure_parts(report, args, steps, label, dataset, device)


def convolution_seconds(steps: TrainingSteps, runs: int) -> float:
    """The seconds that the convolutions of one step take, forward and backward, each called again on its own input.

    A gradient is asked for where the step asks for one: of the weights, unless they are frozen, and of the input.
    """
    calls: list[tuple[nn.Module, Tensor, bool, bool]] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        wanted = torch.is_grad_enabled() and inputs[0].requires_grad, module.weight.requires_grad
        calls.append((module, inputs[0].detach(), *wanted))

    networks = [
        network for network in (steps.state.generator, steps.state.discriminator, steps.state.feature_loss) if network
    ]
    layers = [layer for network in networks for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    handles = [layer.register_forward_pre_hook(note) for layer in layers]
    steps.step()
    for handle in handles:
        handle.remove()

    def again(layer: nn.Module, x: Tensor, of_input: bool, of_weight: bool) -> None:
        with steps.state.precision.autocast():
            y = layer(x.requires_grad_(of_input))
        wanted = [x] * of_input + [layer.weight] * (of_weight and layer.weight.is_leaf)
        if wanted:
            torch.autograd.grad(y, wanted, torch.ones_like(y))

    return sum(median(repeated(lambda call=call: again(*call), runs, steps.device)) for call in calls)


def measure_parts(
    report: Report,
    args: argparse.Namespace,
    steps: TrainingSteps,
    label: str,
    dataset: ColorizationDataset,
    device: torch.device,
) -> None:
    """The share of a step that each of its parts takes, the log line of every 250th step spread over all."""
    parts = Parts(device)
    count = args.runs * args.steps
    with parts.watch(steps):
        whole = timed(lambda: [steps.step(parts) for _ in range(count)], device)
    seconds = {name: value / count for name, value in parts.seconds.items()}
    del seconds["step"]  # the sum of what is inside it
    seconds["logging"] = log_seconds(steps, dataset, device) / LOG_EVERY
    seconds["else"] = max(0.0, whole / count - sum(seconds.values()))
    total = sum(seconds.values())
    for name, value in seconds.items():
        report.add(f"{label}: {name}", 100 * value / total, "% of a step")
    data_and_logging = (seconds["read"] + seconds["logging"]) / total
    report.add(f"{label}: data (read) and logging together", data_and_logging, at_most=MOST)
    for name, most in SHARES.items():
        report.add(f"{label}: {name}, share of a step", seconds[name] / total, at_most=most)


def log_seconds(steps: TrainingSteps, dataset: ColorizationDataset, device: torch.device) -> float:
    """What `train` does every 250 steps: the losses' line, the figure of samples, and the checkpoint."""
    samples = torch.stack([dataset[index] for index in range(SAMPLES)])
    with tempfile.TemporaryDirectory() as name:
        run = Path(name)

        def log() -> None:
            (run / "steps.jsonl").write_text(json.dumps(steps.state.mean_losses()))
            draw_samples(steps.state.evaluated, samples, steps.settings.size, run / "sample.png", device)
            save_training(run / "last.pt", {"stage": steps.settings.stage, **steps.state.state_dict()})

        return median(repeated(log, 2, device))


if __name__ == "__main__":
    run_script(main)
