// The viewer of the page: axial and coronal slices of the volumes in #viewer-data.
(() => {
  const box = document.getElementById("viewer");
  const source = document.getElementById("viewer-data");
  if (!box || !source) return;
  const data = JSON.parse(source.textContent);
  const [depth, rows, columns] = data.shape;
  const [dz, dy, dx] = data.spacing;
  const size = depth * rows * columns;
  const volumes = {};
  let labels = null;
  const state = { image: "water", opacity: 0.4, outlines: true, axial: depth >> 1, coronal: rows >> 1, marked: 0 };
  const said = box.querySelector("output");
  const views = {};

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  async function sheet(text) {
    const image = new Image();
    image.src = "data:image/jpeg;base64," + text;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(image, 0, 0);
    return pen.getImageData(0, 0, canvas.width, canvas.height);
  }

  async function decode(name) {
    if (volumes[name]) return;
    const volume = new Uint8Array(size);
    const [height, width] = data.tile;
    for (let s = 0; s < data[name].length; s += 1) {
      const picture = await sheet(data[name][s]);
      const first = s * data.per_sheet;
      for (let n = 0; n < data.per_sheet && first + n < depth; n += 1) {
        const top = Math.floor(n / data.across) * height, left = (n % data.across) * width;
        for (let y = 0; y < rows; y += 1) {
          let from = 4 * ((top + y) * picture.width + left), to = ((first + n) * rows + y) * columns;
          for (let x = 0; x < columns; x += 1, from += 4, to += 1) volume[to] = picture.data[from];
        }
      }
    }
    volumes[name] = volume;
  }

  async function unpack(text) {
    const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  function fraction(at) {
    const water = volumes.water[at], fat = volumes.fat[at];
    return water + fat < 18 ? 0 : fat / (water + fat);
  }

  const planes = {
    axial: { wide: columns, high: rows, mm: [dx, dy], count: depth,
      at: (u, v, n) => (n * rows + v) * columns + u },
    coronal: { wide: columns, high: depth, mm: [dx, dz], count: rows,
      at: (u, v, n) => (v * rows + n) * columns + u },
  };

  function draw(name) {
    const plane = planes[name], view = views[name], n = state[name];
    const small = new ImageData(plane.wide, plane.high);
    for (let v = 0, to = 0; v < plane.high; v += 1) {
      for (let u = 0; u < plane.wide; u += 1, to += 4) {
        const at = plane.at(u, v, n);
        const grey = state.image === "fraction" ? 255 * fraction(at) : volumes[state.image][at];
        small.data[to] = small.data[to + 1] = small.data[to + 2] = grey;
        small.data[to + 3] = 255;
      }
    }
    view.scratch.getContext("2d").putImageData(small, 0, 0);
    const { width, height } = view.canvas;
    view.pen.imageSmoothingEnabled = true;
    view.pen.drawImage(view.scratch, 0, 0, width, height);
    if (labels && (state.opacity > 0 || state.outlines)) overlay(plane, view, n);
    const other = name === "axial" ? state.coronal : state.axial;
    view.pen.fillStyle = "rgba(255,255,255,.5)";
    const across = (other + 0.5) / plane.high * height;
    for (let x = 0; x < width; x += 12) view.pen.fillRect(x, across, 5, 1);
    view.slider.value = n;
    view.slider.setAttribute("aria-valuetext", `slice ${n + 1} of ${plane.count}`);
    view.number.textContent = `${n + 1} / ${plane.count}`;
  }

  function overlay(plane, view, n) {
    const { width, height } = view.canvas;
    const picture = view.pen.getImageData(0, 0, width, height);
    const line = new Int16Array(width * height);
    for (let y = 0, i = 0; y < height; y += 1) {
      const v = Math.min(plane.high - 1, Math.floor(y / height * plane.high));
      for (let x = 0; x < width; x += 1, i += 1) {
        line[i] = labels[plane.at(Math.min(plane.wide - 1, Math.floor(x / width * plane.wide)), v, n)];
      }
    }
    for (let i = 0; i < line.length; i += 1) {
      const label = line[i];
      if (!label) continue;
      const edge = state.outlines && (line[i - 1] !== label || line[i + 1] !== label ||
        line[i - width] !== label || line[i + width] !== label);
      let a = edge ? 0.95 : state.opacity;
      if (state.marked === label) a = edge ? 1 : Math.min(1, state.opacity + 0.3);
      const colour = data.structures[label][1];
      for (let c = 0; c < 3; c += 1) picture.data[4 * i + c] += a * (colour[c] - picture.data[4 * i + c]);
    }
    view.pen.putImageData(picture, 0, 0);
  }

  const drawAll = () => { draw("axial"); draw("coronal"); };

  function move(name, by) {
    state[name] = Math.max(0, Math.min(planes[name].count - 1, state[name] + by));
    drawAll();
  }

  function tap(name, event) {
    const view = views[name], plane = planes[name], frame = view.canvas.getBoundingClientRect();
    const u = Math.min(plane.wide - 1, Math.floor((event.clientX - frame.left) / frame.width * plane.wide));
    const v = Math.min(plane.high - 1, Math.floor((event.clientY - frame.top) / frame.height * plane.high));
    const at = plane.at(u, v, state[name]);
    const [k, row] = name === "axial" ? [state.axial, v] : [v, state.coronal];
    state[name === "axial" ? "coronal" : "axial"] = v;
    state.marked = labels ? labels[at] : 0;
    const known = state.marked ? data.structures[state.marked] : null;
    let side = "";
    if (known && known[2] && data.middle) side = u >= data.middle[k][0] + data.middle[k][1] * row ? ", left" : ", right";
    const fat = data.fat ? ` Fat fraction here: ${Math.round(100 * fraction(at))}%.` : "";
    said.textContent = known ? known[0] + side + "." + fat : (labels ? "No labelled structure." : "") + fat;
    drawAll();
  }

  function build(name) {
    const figure = box.querySelector(`[data-plane="${name}"]`), plane = planes[name];
    const canvas = figure.querySelector("canvas"), slider = figure.querySelector("input");
    const scale = Math.max(1, Math.min(4, Math.ceil(700 / plane.wide)));
    canvas.width = plane.wide * scale;
    canvas.height = Math.round(plane.high * plane.mm[1] / plane.mm[0] * scale);
    const scratch = document.createElement("canvas");
    scratch.width = plane.wide;
    scratch.height = plane.high;
    views[name] = { canvas, slider, scratch, number: figure.querySelector(".slice"),
      pen: canvas.getContext("2d", { willReadFrequently: true }) };
    slider.max = plane.count - 1;
    slider.addEventListener("input", () => { state[name] = Number(slider.value); drawAll(); });
    canvas.addEventListener("wheel", (event) => { event.preventDefault(); move(name, Math.sign(event.deltaY)); },
      { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
      if (step) { event.preventDefault(); move(name, step); }
    });
    canvas.addEventListener("click", (event) => { canvas.focus(); tap(name, event); });
  }

  function busiest() {
    const across = new Int32Array(depth), along = new Int32Array(rows);
    for (let i = 0; i < size; i += 1) {
      if (!labels[i]) continue;
      across[Math.floor(i / (rows * columns))] += 1;
      along[Math.floor(i / columns) % rows] += 1;
    }
    state.axial = across.indexOf(Math.max(...across));
    state.coronal = along.indexOf(Math.max(...along));
  }

  async function start() {
    await decode("water");
    if (data.fat) await decode("fat");
    if (data.labels) { labels = await unpack(data.labels); busiest(); }
    build("axial");
    build("coronal");
    for (const choice of box.querySelectorAll('[name="image"]')) {
      choice.addEventListener("change", () => { state.image = choice.value; drawAll(); });
    }
    const opacity = box.querySelector('[name="opacity"]'), outlines = box.querySelector('[name="outlines"]');
    if (opacity) opacity.addEventListener("input", () => { state.opacity = Number(opacity.value) / 100; drawAll(); });
    if (outlines) outlines.addEventListener("change", () => { state.outlines = outlines.checked; drawAll(); });
    drawAll();
    document.documentElement.classList.add("has-viewer");
  }
  start().catch(() => { box.remove(); });
})();
