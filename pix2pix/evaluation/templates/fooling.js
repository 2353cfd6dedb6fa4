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
      " colorized photos were taken for real; 95 % interval " + percent(low) + " to " + percent(high) + ".";
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
