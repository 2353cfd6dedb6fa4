"""human.html: pairs of one photo, real and coloured, for people to say which is real; it needs no network.

The fooling rate is the share of pairs whose coloured photo was taken for the real one (0.5: nobody could tell), with
its 95 % interval after Wilson 1927. The page counts for itself and sends nothing anywhere.
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from string import Template

import numpy as np
import torch

from pix2pix.color import to_lab
from pix2pix.data.dataset import ColorizationDataset
from pix2pix.evaluation.page import jpeg_uri
from pix2pix.evaluation.scoring import Row
from pix2pix.files import replacing

PAIRS = 40  # at most

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Which photo is real?</title>
<style>
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1d21; --soft: #565c66; --line: #d5d9df; --focus: #1d5fd0 }
@media (prefers-color-scheme: dark) { :root { --paper: #14161a; --ink: #e9ebef; --soft: #a9b0bb; --line: #3a404a;
  --focus: #7db1ff } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1rem; max-width: 56rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.5rem } .soft { color: var(--soft) } [hidden] { display: none !important }
#pair { display: grid; grid-template-columns: 1fr 1fr; gap: .75rem }
button { padding: .4rem; border: 2px solid var(--line); border-radius: .5rem; background: none; color: inherit;
  font: inherit; cursor: pointer }
button:hover, button:focus-visible { border-color: var(--focus); outline: none }
img { display: block; width: 100%; margin-bottom: .3rem; border-radius: .25rem } progress { width: 100% }
#rate { font-size: 1.3rem }
</style>
</head>
<body>
<h1>Which photo is real?</h1>
<div id="test">
<p class="soft">One of the two has its own colours, the other was coloured by a network. Choose the real one; with the
keyboard: left and right.</p>
<p><progress id="done" value="0" aria-label="pairs answered"></progress> <span id="count"></span></p>
<div id="pair">
<button id="left"><img alt="left photo">left</button>
<button id="right"><img alt="right photo">right</button>
</div>
</div>
<div id="result" hidden>
<p id="rate"></p>
<p class="soft">The fooling rate is the share of pairs whose coloured photo was taken for the real one: 50 % means that
it cannot be told from the real one, 0 % that it always can. The interval is Wilson's.</p>
<p class="soft">$name, seed $seed; reload the page to begin again.</p>
</div>
<script>
const pairs = $pairs;
const get = id => document.getElementById(id);
let answered = 0, fooled = 0;
function wilson(hits, count) {
  const z = 1.959963984540054, share = hits / count, scale = 1 + z * z / count;
  const middle = (share + z * z / (2 * count)) / scale;
  const half = z / scale * Math.sqrt(share * (1 - share) / count + z * z / (4 * count * count));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
const percent = share => (100 * share).toFixed(1) + " %";
function show() {
  get("done").max = pairs.length;
  get("done").value = answered;
  if (answered === pairs.length) {
    const [low, high] = wilson(fooled, answered);
    get("rate").textContent = "Fooling rate " + percent(fooled / answered) + ": " + fooled + " of " + answered +
      " coloured photos were taken for real; 95 % interval " + percent(low) + " to " + percent(high) + ".";
    get("test").hidden = true;
    get("result").hidden = false;
    return;
  }
  get("count").textContent = (answered + 1) + " of " + pairs.length;
  ["left", "right"].forEach((side, i) => { get(side).firstElementChild.src = pairs[answered].photos[i]; });
}
function answer(side) {
  if (answered === pairs.length) return;
  if (side !== pairs[answered].real) fooled += 1;
  answered += 1;
  show();
}
["left", "right"].forEach((side, i) => { get(side).onclick = () => { get(side).blur(); answer(i); }; });
document.addEventListener("keydown", event => {
  if (event.repeat) return;
  if (event.key === "ArrowLeft") answer(0);
  if (event.key === "ArrowRight") answer(1);
});
show();
</script>
</body>
</html>
"""


@torch.inference_mode()
def write_human_page(
    dataset: ColorizationDataset, row: Row, device: torch.device, path: Path, *, name: str, seed: int
) -> int:
    """Write the page with up to 40 photos, their order and the real one's side by the seed; returns how many."""
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(dataset))[:PAIRS].tolist()
    pairs = []
    for photo, side in zip(chosen, generator.integers(2, size=len(chosen)).tolist(), strict=True):
        real = dataset[photo][None].to(device)
        coloured = row(to_lab(real)[0])
        both = (real, coloured) if side == 0 else (coloured, real)
        pairs.append({"photos": [jpeg_uri(image[0], 384, quality=92) for image in both], "real": side})
    page = Template(PAGE).substitute(name=html.escape(name), seed=seed, pairs=json.dumps(pairs))
    with replacing(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", "backslashreplace"))
    return len(pairs)
