"""Write the generator as an ONNX file, which runs without PyTorch.

python -m pix2pix.export model.onnx
python -m pix2pix.export model.onnx --weights runs/002-gan --half

Its inputs are `lightness` (batch, 1, height, width) and, where the weights take points, `hints` (batch, 3, height,
width); its output is `ab` (batch, 2, height, width), all float32, of any size. examples/onnx_colorize.py uses it.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pix2pix.checkpoint import load_generator
from pix2pix.errors import UserError, run_script
from pix2pix.files import replacing
from pix2pix.runs import find_generator
from pix2pix.unet import STRIDE, UNetGenerator, fold_batch_norm

INPUTS = ("lightness", "hints")
ABOUT = {  # in the file's metadata; "size" is added
    "lightness": "(batch, 1, height, width) float32: CIE L* / 50 - 1, in [-1, 1]",
    "hints": "(batch, 3, height, width) float32: a and b / 110 of the colors asked for, 0 where none is, and a mask, 1 "
    "where one is, else 0; all zeros where nobody asks for any",
    "ab": "(batch, 2, height, width) float32: CIE a* and b* / 110, in [-1, 1]",
    "use": "Resize L so that the short side has `size` pixels, enlarge ab to the photo's size by bicubic interpolation "
    "and join it with the photo's own L. pix2pix itself takes the mean of two predictions, the other one of the "
    "mirrored photo 1.5 times as large, makes dull photos livelier and vivid ones calmer, and smooths with a guided "
    "filter.",
}
# The exported network takes multiples of 32: around it the sides are extended, and ab is cut to the photo.
BEFORE = f"""before (float[batch, 1, height, width] lightness) => (int64[4] pads, int64[2] axes, int64[2] size) {{
    size = Shape <start = 2, end = 4> (lightness)
    stride = Constant <value_ints = [{STRIDE}]> ()
    opposite = Neg (size)
    missing = Mod (opposite, stride)
    nothing = Constant <value_ints = [0, 0]> ()
    pads = Concat <axis = 0> (nothing, missing)
    axes = Constant <value_ints = [2, 3]> ()
}}"""
PAD = {
    "lightness": 'pad (float x) => (float y) { padded_lightness = Pad <mode = "edge"> (lightness, pads, , axes) }',
    "hints": "pad (float x) => (float y) { padded_hints = Pad (hints, pads, , axes) }",
}
AFTER = "after (float x) => (float y) { ab = Slice (padded_ab, nothing, size, axes) }"


class _Padded(nn.Module):
    """The network as it is exported, for sides that are multiples of 32."""

    def __init__(self, generator: UNetGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        return self.generator.predict_padded(lightness, hints)


def export_onnx(generator: UNetGenerator, path: Path, *, size: int, half: bool = False) -> None:
    """Write the generator, whose weights are changed by it, to an ONNX file; with `half` it computes in fp16.

    `size` is the working size, for the file's metadata. Raises UserError when the packages for it are not there or
    the file cannot be written.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  (what torch's exporter needs)
    except ImportError as error:
        raise UserError(f'{error.name} is not installed; install it with: pip install -e ".[onnx]"') from None
    model = _exported(generator, half=half)
    names = INPUTS if generator.takes_hints else INPUTS[:1]
    _take_any_size(model, names)
    about = {name: text for name, text in ABOUT.items() if name != "hints" or generator.takes_hints}
    onnx.helper.set_model_props(model, {"size": str(size), **about})
    onnx.checker.check_model(model)
    try:
        with replacing(path) as temporary:
            onnx.save(model, temporary)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def _exported(generator: UNetGenerator, *, half: bool) -> Any:  # noqa: ANN401
    """The network alone as an onnx.ModelProto, its inputs and output named `padded_...`."""
    fold_batch_norm(generator.eval())
    if half:
        generator.half()
    names = INPUTS if generator.takes_hints else INPUTS[:1]
    examples = tuple(torch.zeros(2, channels, 3 * STRIDE, 5 * STRIDE) for channels in (1, 3)[: len(names)])
    dim = torch.export.Dim
    sides = {0: dim("batch"), 2: STRIDE * dim("rows"), 3: STRIDE * dim("columns")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the exporter itself uses
        program = torch.onnx.export(
            _Padded(generator).eval(),
            examples,
            dynamo=True,
            verbose=False,
            dynamic_shapes=(sides,) * len(names),
            input_names=[f"padded_{name}" for name in names],
            output_names=["padded_ab"],
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    return program.model_proto


def _take_any_size(model: Any, names: tuple[str, ...]) -> None:  # noqa: ANN401
    """Put nodes around the network that extend the sides to multiples of 32, and cut ab."""
    from onnx import TensorProto, helper, parser

    def values(name: str, channels: int) -> Any:  # noqa: ANN401
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, "height", "width"])

    graph = model.graph
    texts = [BEFORE, *(PAD[name] for name in names)]
    before = [node for text in texts for node in parser.parse_graph(text).node]
    nodes = [*before, *graph.node, *parser.parse_graph(AFTER).node]
    for group, wanted in (
        (graph.node, nodes),
        (graph.input, [values(name, channels) for name, channels in zip(names, (1, 3), strict=False)]),
        (graph.output, [values("ab", 2)]),
        (graph.value_info, []),  # shapes in terms of 32, which are no longer known
    ):
        del group[:]
        group.extend(wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, metavar="MODEL.onnx")
    parser.add_argument("--weights", type=Path, metavar="FILE|RUN", help="default: the shipped weights")
    parser.add_argument("--half", action="store_true", help="compute in fp16: half the file, for GPUs")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="the folder of all runs")
    args = parser.parse_args()
    if args.output.suffix.lower() != ".onnx":
        raise UserError(f"{args.output} is no name of an ONNX file; give one that ends in .onnx")
    weights = find_generator(args.weights, runs=args.runs)
    loaded = load_generator(weights)
    export_onnx(loaded.network, args.output, size=loaded.size, half=args.half)
    print(f"{weights} -> {args.output}, {args.output.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    run_script(main)
