// The editor of the page. Python sends `props.value`, which `draw` shows; what a person does goes back as "edit"
// events. Places are shares of the photo's width and height, so that it may be shown at any size.
const part = (name) => element.querySelector("." + name);
const stage = part("stage");
const picker = part("picker");
let shown;

function wait() {
  part("shown").classList.add("busy");
}

function send(change) {
  wait();
  trigger("edit", { change });
}

function choose(color) {
  picker.value = color;
  for (const swatch of element.querySelectorAll(".swatch")) {
    swatch.setAttribute("aria-pressed", swatch.dataset.color === color);
  }
}

function drawPalette() {
  for (const [name, color] of Object.entries(props.palette)) {
    const swatch = document.createElement("button");
    swatch.type = "button";
    swatch.className = "swatch";
    swatch.dataset.color = color;
    swatch.style.setProperty("--color", color);
    swatch.textContent = name;
    swatch.addEventListener("click", () => choose(color));
    part("own").before(swatch);
  }
  choose(picker.value);
}

function drawRing(point, number) {
  const ring = document.createElement("button");
  ring.type = "button";
  ring.className = "ring";
  ring.style.left = 100 * point.x + "%";
  ring.style.top = 100 * point.y + "%";
  ring.style.setProperty("--color", point.shown);
  ring.title = point.asked === point.shown ? point.asked : `${point.asked}, which comes out as ${point.shown}`;
  ring.setAttribute("aria-label", `Take away point ${number + 1}, ${point.asked}`);
  ring.addEventListener("click", () => send({ do: "remove", number: point.number }));
  part("rings").append(ring);
}

function draw() {
  shown = props.value;
  const hasPhoto = Boolean(shown.photo);
  const points = shown.points || [];
  part("shown").classList.remove("busy");
  part("empty").hidden = hasPhoto;
  part("more").hidden = !shown.takes_points;
  part("tools").hidden = !hasPhoto || !shown.takes_points;
  part("pointless").hidden = shown.takes_points;
  part("shown").hidden = !hasPhoto;
  if (hasPhoto) {
    part("shown").style.setProperty("--aspect", shown.aspect);
    part("color").src = shown.color;
    part("gray").src = shown.gray;
  }
  part("rings").replaceChildren();
  points.forEach(drawRing);
  part("undo").disabled = !shown.undo;
  part("clear").disabled = !points.length;
}

function compare() {
  stage.style.setProperty("--gray", part("slider").value + "%");
}

async function load(file) {
  if (file) {
    wait();
    send({ do: "load", name: file.name, text: await file.text() });
  }
}

stage.addEventListener("click", (event) => {
  if (!shown.takes_points || event.target.closest(".ring")) {
    return;
  }
  const box = stage.getBoundingClientRect();
  const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  drawRing({ x, y, asked: picker.value, shown: picker.value }, 0);
  send({ do: "place", x, y, color: picker.value });
});
picker.addEventListener("input", () => choose(picker.value));
part("undo").addEventListener("click", () => send({ do: "undo" }));
part("clear").addEventListener("click", () => send({ do: "clear" }));
part("slider").addEventListener("input", compare);
part("file").addEventListener("change", (event) => {
  load(event.target.files[0]);
  event.target.value = "";
});
for (const kind of ["dragover", "drop"]) {
  part("shown").addEventListener(kind, (event) => event.preventDefault());
}
part("shown").addEventListener("drop", (event) => {
  if (shown.takes_points) {
    load(event.dataTransfer.files[0]);
  }
});
drawPalette();
compare();
draw();
watch("value", draw);
