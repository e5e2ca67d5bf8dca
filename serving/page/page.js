/* The page to try the served model. It builds itself from the model's metadata, asks as any v2 client would, and shows
   what the server says as text: nothing that comes from the server or a file becomes markup. */

const $ = (id) => document.getElementById(id);
const MOST_BARS = 10;
const SHOWN_CHARACTERS = 2000;
/* Sides from here on are drawn with a margin of a seventh, as MNIST's are; smaller ones are filled to the edge. */
const MARGIN_FROM = 16;
const DRAWN_UP_TO = 32;

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const show = (id, shown = true) => { $(id).hidden = !shown; };

/* ---- The server ---- */

async function call(path, body) {
  let response;
  try {
    response = await fetch(path, body && { method: "POST", headers: { "Content-Type": "application/json" }, body });
  } catch {
    throw new Error("The server can't be reached.");
  }
  const text = await response.text();
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new Error(`HTTP ${response.status}: ${text || "no content"}`);
  }
  if (!response.ok) throw new Error(`HTTP ${response.status}: ${answer.error ?? text}`);
  return answer;
}

/* ---- Pictures: canvas to pixels in the signature's shape, datatype and range ---- */

/* Where the channels of one row stand: [height, width], [height, width, n] or [n, height, width]. */
function layout(tensor) {
  const row = tensor.shape.slice(1);
  if (row.length === 2) return { height: row[0], width: row[1], channels: 1, first: false };
  if (row.length !== 3) return null;
  const first = [1, 3].includes(row[0]) && ![1, 3].includes(row[2]);
  const [channels, height, width] = first ? row : [row[2], row[0], row[1]];
  return [1, 3].includes(channels) ? { height, width, channels, first } : null;
}

/* The mean of a canvas over each pixel of a smaller grid, as [red, green, blue] from 0 to 255. `box` is the part of the
   canvas that the grid covers and may reach beyond it: there it is black. */
function shrink(canvas, box, width, height) {
  const { width: across, height: down } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, across, down);
  const cells = (start, size, count) => Array.from({ length: count }, (_, i) => {
    const from = Math.floor(start + (size * i) / count);
    return [from, Math.max(from + 1, Math.floor(start + (size * (i + 1)) / count))];
  });
  const columns = cells(box.x, box.width, width);
  const pixels = [];
  for (const [top, bottom] of cells(box.y, box.height, height)) {
    for (const [left, right] of columns) {
      const sum = [0, 0, 0];
      for (let y = Math.max(0, top); y < Math.min(down, bottom); y++) {
        for (let x = Math.max(0, left); x < Math.min(across, right); x++) {
          const at = 4 * (y * across + x);
          for (let c = 0; c < 3; c++) sum[c] += data[at + c];
        }
      }
      pixels.push(sum.map((value) => value / ((bottom - top) * (right - left))));
    }
  }
  return pixels;
}

/* The square that brings what is drawn to the middle of the grid, with the margin that small digits have. */
function frame(canvas, side) {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  let left = width, right = -1, top = height, bottom = -1, mass = 0, massX = 0, massY = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const ink = data[4 * (y * width + x)];
      if (ink < 32) continue;
      left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = y;
      mass += ink; massX += ink * (x + 0.5); massY += ink * (y + 0.5);
    }
  }
  if (!mass) return { x: 0, y: 0, width, height };
  const wide = side >= MARGIN_FROM;
  const size = Math.max(right - left, bottom - top) + 1;
  const outer = wide ? size * 1.4 : size;
  const [middleX, middleY] = wide ? [massX / mass, massY / mass] : [(left + right + 1) / 2, (top + bottom + 1) / 2];
  return { x: middleX - outer / 2, y: middleY - outer / 2, width: outer, height: outer };
}

/* Flat values of one row, from pixels of 0 to 255. */
function values(pixels, tensor, { channels, first }) {
  const low = tensor.parameters?.minimum ?? 0, high = tensor.parameters?.maximum ?? 255;
  const whole = !tensor.datatype.startsWith("FP");
  const scale = (value) => {
    const scaled = low + (value / 255) * (high - low);
    return whole ? Math.round(scaled) : Number(scaled.toPrecision(6));
  };
  const grey = ([r, g, b]) => 0.299 * r + 0.587 * g + 0.114 * b;
  if (channels === 1) return pixels.map((pixel) => scale(grey(pixel)));
  if (!first) return pixels.flatMap((pixel) => pixel.map(scale));
  return [0, 1, 2].flatMap((channel) => pixels.map((pixel) => scale(pixel[channel])));
}

/* Draws one row of the signature, so that whoever asks sees what the model gets. */
function preview(data, tensor, { height, width, channels, first }) {
  const low = tensor.parameters?.minimum ?? 0, high = tensor.parameters?.maximum ?? 255;
  const canvas = $("small");
  Object.assign(canvas, { width, height });
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let c = 0; c < 3; c++) {
      const at = channels === 1 ? pixel : first ? c * width * height + pixel : 3 * pixel + c;
      image.data[4 * pixel + c] = (255 * (data[at] - low)) / (high - low || 1);
    }
    image.data[4 * pixel + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  canvas.classList.remove("photo");
  $("caption").textContent = "What the model gets";
  show("seen");
}

function thumbnail(bitmap) {
  const canvas = $("small");
  const scale = Math.min(1, 320 / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(scale * bitmap.width));
  canvas.height = Math.max(1, Math.round(scale * bitmap.height));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  canvas.classList.add("photo");
  $("caption").textContent = "The chosen picture";
  show("seen");
}

async function opened(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    throw new Error(`The browser can't read ${file.name} as a picture.`);
  }
}

async function encoded(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let binary = "";
  for (let at = 0; at < bytes.length; at += 32768) binary += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(binary);
}

/* ---- The two ways to ask: each has `inputs()`, the v2 inputs of one row, and `example()` ---- */

function imageAsker(metadata) {
  const [tensor] = metadata.inputs;
  const place = layout(tensor);
  const decodes = Boolean(metadata.parameters?.picture);
  if (metadata.inputs.length !== 1 || !(place || decodes)) return null;
  const drawable = place && place.channels === 1 && place.height <= DRAWN_UP_TO && place.width <= DRAWN_UP_TO;
  const pixels = (data) => [{ name: tensor.name, datatype: tensor.datatype, shape: [1, ...tensor.shape.slice(1)], data }];
  const state = { inputs: null, turn: 0 };
  const take = (inputs, said) => {
    state.inputs = inputs;
    state.turn += 1;
    $("taken").textContent = said;
  };

  const takeFile = async (file) => {
    take(null, "");
    show("seen", false);
    const { turn } = state;
    const data64 = decodes && await encoded(file);
    const bitmap = await opened(file).catch((error) => { if (!decodes) throw error; }); // else the server says so
    if (turn !== state.turn) return; // something else was drawn or chosen meanwhile
    if (decodes) {
      if (bitmap) thumbnail(bitmap);
      take([{ name: tensor.name, datatype: "BYTES", shape: [1], data: [data64] }], `${file.name}: the server decodes it.`);
      return;
    }
    const canvas = make("canvas", { width: Math.min(bitmap.width, 1024), height: Math.min(bitmap.height, 1024) });
    const context = canvas.getContext("2d");
    context.fillStyle = "white"; // what a transparent picture lies on, as on the server
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const box = { x: 0, y: 0, width: canvas.width, height: canvas.height };
    const data = values(shrink(canvas, box, place.width, place.height), tensor, place);
    take(pixels(data), `${file.name}: brought to ${place.width} × ${place.height} pixels here.`);
    preview(data, tensor, place);
  };
  const drawn = () => {
    const board = $("board");
    const box = $("fit").checked ? frame(board, place.height) : { x: 0, y: 0, width: board.width, height: board.height };
    const data = values(shrink(board, box, place.width, place.height), tensor, place);
    $("file").value = "";
    take(pixels(data), "");
    preview(data, tensor, place);
  };

  if (drawable) drawingBoard(place, drawn, () => {
    $("file").value = "";
    take(null, "");
    show("seen", false);
  });
  if (decodes) $("file").accept = "image/jpeg,image/png,image/webp";
  fileChooser(takeFile);
  show("choose");
  const size = tensor.shape.slice(1).reduce((product, side) => product * side, 1);
  const example = tensor.parameters?.example;
  const known = example?.length === size && example; // of a large picture the server tells only the start
  return {
    inputs() {
      if (!state.inputs) throw new Error(drawable ? "Draw something or choose a picture." : "Choose a picture.");
      return state.inputs;
    },
    example: known && place && (() => {
      $("file").value = "";
      take(pixels(known), "");
      preview(known, tensor, place);
    }),
  };
}

function drawingBoard(place, drawn, cleared) {
  const board = $("board");
  const context = board.getContext("2d", { willReadFrequently: true });
  const clear = () => {
    context.fillStyle = "black";
    context.fillRect(0, 0, board.width, board.height);
  };
  const at = (event) => {
    const box = board.getBoundingClientRect();
    return [((event.clientX - box.left) * board.width) / box.width,
      ((event.clientY - box.top) * board.height) / box.height];
  };
  let pressed = false, used = false;
  const line = (event) => {
    context.lineTo(...at(event));
    context.stroke();
  };
  board.height = Math.round((board.width * place.height) / place.width);
  board.style.aspectRatio = `${place.width} / ${place.height}`;
  Object.assign(context, {
    strokeStyle: "white", lineCap: "round", lineJoin: "round",
    lineWidth: board.width * (place.height >= MARGIN_FROM ? 0.085 : 0.2),
  });
  board.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    board.setPointerCapture(event.pointerId);
    pressed = used = true;
    context.beginPath();
    context.moveTo(...at(event));
    line(event);
  });
  board.addEventListener("pointermove", (event) => {
    if (!pressed) return;
    for (const step of event.getCoalescedEvents?.() ?? []) line(step);
    line(event);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    board.addEventListener(end, () => {
      if (pressed) drawn();
      pressed = false;
    });
  }
  $("clear").addEventListener("click", () => { clear(); used = false; cleared(); });
  $("fit").checked = place.height >= 8;
  $("fit").addEventListener("change", () => used && drawn());
  clear();
  show("draw");
}

function fileChooser(take) {
  const zone = $("zone");
  const safely = (file) => take(file).catch(complain);
  $("file").addEventListener("change", () => $("file").files.length && safely($("file").files[0]));
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    zone.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.toggle("over", kind === "dragenter" || kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) safely(event.dataTransfer.files[0]);
    });
  }
}

function tableAsker(metadata) {
  if (!metadata.inputs.every((tensor) => tensor.parameters?.fields)) return null;
  const readers = metadata.inputs.flatMap((tensor) => tensor.parameters.fields.map((field, column) => ({
    name: field, datatype: tensor.datatype, control: control(tensor, field, column),
  })));
  show("row");
  return {
    inputs() {
      if (!$("ask").reportValidity()) throw new Error("A field holds no number.");
      return readers.map(({ name, datatype, control: { value } }) => (
        { name, datatype, shape: [1], data: [read(value, datatype)] }));
    },
    example: metadata.inputs.some((tensor) => tensor.parameters.example) && (() => $("ask").reset()),
  };
}

/* An empty field is a missing value; whether one may be missing, the server says. */
function read(value, datatype) {
  if (value === "") return null;
  if (datatype === "BYTES") return value;
  return datatype === "BOOL" ? value === "true" : Number(value);
}

/* A number of 32 bits as a person writes it: 5.1 for 5.099999904632568. */
function written(value, datatype) {
  if (datatype !== "FP32" || typeof value !== "number") return String(value ?? "");
  const exact = [6, 7, 8].map((digits) => Number(value.toPrecision(digits))).find((short) => Math.fround(short) === value);
  return String(exact ?? value);
}

function control(tensor, field, column) {
  const { example, missing, minimum, maximum, choices } = tensor.parameters;
  const id = `field-${$("fields").childElementCount}`;
  const first = written(example?.[column], tensor.datatype);
  const text = tensor.datatype === "BYTES";
  const element = tensor.datatype === "BOOL"
    ? make("select", { id }, ...["false", "true"].map((value) => new Option(value, value, value === first, value === first)))
    : make("input", { id, type: text ? "text" : "number", defaultValue: first, autocomplete: "off" });
  if (!text) element.step = tensor.datatype.includes("INT") ? 1 : "any";
  const hints = [minimum !== undefined && `from ${minimum}`, maximum !== undefined && `to ${maximum}`, missing && "may be empty"];
  const hint = make("span", { id: `${id}-hint`, className: "quiet" }, hints.filter(Boolean).join(", "));
  if (hint.textContent) element.setAttribute("aria-describedby", hint.id);
  const row = make("div", {}, make("label", { htmlFor: id }, field), element, hint);
  if (choices?.[field]) {
    element.setAttribute("list", `${id}-choices`);
    row.append(make("datalist", { id: `${id}-choices` }, ...choices[field].map((value) => new Option(value, value))));
  }
  $("fields").append(row);
  return element;
}

/* ---- The answer ---- */

function complain(error) {
  $("error").textContent = error.message;
  show("error");
  show("answer", false);
}

function render(answer, metadata, milliseconds, request) {
  const output = (name) => answer.outputs.find((tensor) => tensor.name === name)?.data ?? [];
  const least = request.parameters?.min_confidence;
  const [label] = output("label"), probabilities = output("probabilities");
  const confidence = output("confidence")[0] ?? Math.max(...probabilities);
  const abstained = label === "" && least !== undefined;
  $("label").textContent = abstained ? "Abstained" : label;
  $("label").classList.toggle("abstained", abstained);
  $("said").textContent = `Confidence ${percent(confidence)}${abstained ? `, less than ${percent(least)}` : ""} · `
    + `${milliseconds.toFixed(1)} ms`;
  const names = metadata.parameters?.labels ?? [];
  const ranked = probabilities.map((share, index) => [share, names[index] ?? `class ${index}`]).sort((a, b) => b[0] - a[0]);
  $("bars").replaceChildren(...ranked.slice(0, MOST_BARS).map(([share, name]) => {
    const bar = make("i");
    bar.style.width = `${100 * share}%`;
    const track = make("div", {}, bar);
    track.setAttribute("aria-hidden", "true");
    return make("li", {}, make("span", {}, name), track, make("b", {}, percent(share)));
  }));
  $("more").textContent = ranked.length > MOST_BARS ? `and ${ranked.length - MOST_BARS} classes below these` : "";
  $("package").textContent = answer.parameters?.package ?? metadata.parameters?.package ?? "unknown";
  show("error", false);
  show("answer");
}

/* A here-document holds pictures too, which are longer than an argument may be. */
const command = (url, body) => `curl -sS ${url} -H 'Content-Type: application/json' --data-binary @- <<'END'\n${body}\nEND`;

function showCommand(text) {
  const rest = text.length - SHOWN_CHARACTERS;
  $("curl").textContent = rest > 0 ? `${text.slice(0, SHOWN_CHARACTERS)} … ${rest} more characters, copied in full` : text;
  $("copied").textContent = "";
  $("copy").onclick = async () => {
    try {
      await navigator.clipboard.writeText(text);
      $("copied").textContent = "Copied";
    } catch { // no permission, or no HTTPS
      getSelection().selectAllChildren($("curl"));
      $("copied").textContent = "Selected: copy it with the keyboard";
    }
  };
}

/* ---- Start ---- */

async function main() {
  const { models: [name] } = await call("v2/models");
  const path = `v2/models/${encodeURIComponent(name)}`;
  const metadata = await call(path);
  const { kind, labels, package: digest } = metadata.parameters ?? {};
  document.title = `${metadata.name} · Slipway`;
  $("name").textContent = metadata.name;
  $("about").textContent = [kind === "image" ? "Classifies pictures" : "Classifies rows of a table",
    labels && `${labels.length} classes`, `version ${metadata.versions[0]}`].filter(Boolean).join(" · ");
  $("package").textContent = digest ?? "unknown";
  const asker = kind === "image" ? imageAsker(metadata) : tableAsker(metadata);
  if (!asker) throw new Error("This page can't make inputs of this signature; ask with curl or a v2 client.");

  const ask = async () => {
    const least = Number($("minimum").value);
    const request = { inputs: asker.inputs(), ...(least > 0 && { parameters: { min_confidence: least } }) };
    const body = JSON.stringify(request);
    showCommand(command(new URL(`${path}/infer`, document.baseURI), body));
    const start = performance.now();
    const answer = await call(`${path}/infer`, body);
    render(answer, metadata, performance.now() - start, request);
  };
  const press = async () => {
    $("send").disabled = true;
    await ask().catch(complain);
    $("send").disabled = false;
  };
  const moved = () => {
    const least = Number($("minimum").value);
    $("least").textContent = least > 0 ? `${Math.round(100 * least)} %` : "any";
  };
  $("ask").addEventListener("submit", (event) => { event.preventDefault(); press(); });
  $("ask").addEventListener("reset", () => requestAnimationFrame(moved));
  $("minimum").addEventListener("input", moved);
  $("minimum").addEventListener("change", () => !$("answer").hidden && press());
  if (asker.example) {
    $("example").addEventListener("click", asker.example);
    show("example");
  }
  moved();
  show("ask");
}

main().catch(complain);
