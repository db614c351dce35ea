// What a person fills in: JSON, a text, a file, or a form with a field for each property.
// An editor has `node`, `body()` (what is sent, or nothing if something is missing), `curl()`, `fill(value)`, `select(pointer)`.

const NPY = "application/x-npy";
const LONGEST_IN_CURL = 20000;

const quoted = (text) => `'${text.replace(/'/g, "'\\''")}'`;
const header = (name, value) => `-H ${quoted(`${name}: ${value}`)}`;

/** A file as curl's `-F` wants it. */
const partOf = (name, file, type) => {
  const path = /[,;"\\]/.test(file) ? `"${file.replace(/["\\]/g, "\\$&")}"` : file;
  return `-F ${quoted(`${name}=@${path}${type ? `;type=${type}` : ""}`)}`;
};

const isRaw = (schema) => settled(schema).schema.format === "binary";

/** The schema of a file that a property of a form is, or is a list of; tensors are written as JSON. */
function fileOf(schema) {
  const { schema: own } = settled(schema);
  const one = own.type === "array" && isObject(own.items) ? settled(own.items).schema : own;
  return one.format === "binary" && one.contentMediaType !== NPY ? one : undefined;
}

/** The kinds of bodies that the page knows for an API; the first is the natural one. */
function editorsOf(api) {
  const raws = api.takes.filter((type) => type !== JSON_TYPE && isRaw(api.content[type].schema));
  const array = raws.includes(NPY);
  const fields = Object.values(api.content[MULTIPART] ? settled(api.content[MULTIPART].schema).schema.properties || {} : {});
  const found = [["JSON", (changed) => jsonEditor(api, changed)]];
  if (fields.some(fileOf)) found.unshift(["Form", (changed) => formEditor(api, changed)]);
  else if (fields.some((each) => settled(each).schema.format === "binary")) found.push(["Form", (changed) => formEditor(api, changed)]);
  if (array) found.push(["File (.npy)", (changed) => fileEditor(api, raws, changed)]);
  else if (raws.length) found.unshift(["File", (changed) => fileEditor(api, raws, changed)]);
  if (api.takes.includes("text/plain") && !raws.includes("text/plain")) found.push(["Text", (changed) => textEditor(changed)]);
  return found;
}

function labelled(id, words, ...further) {
  return element("div", { class: "row spread" }, element("label", { for: id, class: "muted" }, words), ...further);
}

function textArea(id, changed, attributes = {}) {
  return element("textarea", { id, rows: 8, spellcheck: "false", autocomplete: "off", autocapitalize: "off", oninput: changed, ...attributes });
}

function jsonEditor(api, changed) {
  const note = element("p", { id: "note", class: "note", role: "status" });
  const area = textArea("body", () => show(), { "aria-describedby": "note" });
  const show = () => {
    const wrong = fault(area.value);
    note.textContent = wrong;
    area.setAttribute("aria-invalid", wrong ? "true" : "false");
    changed();
  };
  const fill = (value) => {
    area.value = arranged(JSON.stringify(value));
    show();
  };
  const tidy = () => {
    if (fault(area.value)) return;
    area.value = arranged(area.value);
    show();
  };
  const select = (pointer) => {
    area.focus();
    if (!fault(area.value)) area.setSelectionRange(...locate(area.value, pointer));
  };
  const node = element("div", { class: "editor" },
    labelled("body", `Body, ${JSON_TYPE}`, element("button", { type: "button", class: "plain", onclick: tidy }, "Tidy")), area, note);
  fill(skeleton(api.input));
  return { node, fill, select, body: () => ({ type: JSON_TYPE, body: area.value }),
    curl: () => [header("Content-Type", JSON_TYPE),
      area.value.length > LONGEST_IN_CURL ? "--data-binary @body.json" : `--data-raw ${quoted(area.value)}`] };
}

function textEditor(changed) {
  const area = textArea("body", changed);
  return { node: element("div", { class: "editor" }, labelled("body", "Body, text/plain"), area),
    fill: (value) => { area.value = String(value); changed(); },
    select: () => area.focus(),
    body: () => ({ type: "text/plain", body: area.value }),
    curl: () => [header("Content-Type", "text/plain"),
      area.value.length > LONGEST_IN_CURL ? "--data-binary @body.txt" : `--data-raw ${quoted(area.value)}`] };
}

// ── files ──

/** A chooser of files with a look at what was chosen. */
function chooser(id, range, { multiple = false, name = "example", changed }) {
  const preview = element("div", { class: "preview", id: `${id}-preview` });
  const accept = range === NPY ? ".npy" : range;
  const input = element("input", { type: "file", id, multiple, accept: accept === "*/*" ? undefined : accept,
    onchange: () => show() });
  const show = () => {
    replace(preview, ...[...input.files].flatMap((file) => shown(file, file.type, file.name)));
    changed();
  };
  /** Puts base64 there, as if it were chosen. */
  const put = (texts) => {
    const transfer = new DataTransfer();
    texts.forEach((text, at) => {
      const blob = fromBase64(text, range);
      transfer.items.add(new File([blob], `${name}${at || ""}.${ending(blob.type || range)}`, { type: blob.type }));
    });
    input.files = transfer.files;
    show();
  };
  return { input, preview, put, files: () => [...input.files] };
}

const guessed = (range) => ({ "image/*": "image/png", "audio/*": "audio/wav" })[range] || "";

/** The media type that a file is sent as. */
function sentAs(file, types) {
  const exact = types.filter((type) => !type.includes("*"));
  if (file?.type && types.some((type) => inRange(file.type, type))) return file.type;
  return exact.find((type) => type !== "application/octet-stream") || exact[0] || file?.type || "application/octet-stream";
}

function fileEditor(api, types, changed) {
  const note = element("p", { id: "note", class: "note", role: "status" });
  const range = types.find((type) => type !== "application/octet-stream") || "*/*";
  const files = chooser("file", range, { changed: () => { note.textContent = ""; changed(); } });
  const body = () => {
    const [file] = files.files();
    if (file) return { type: sentAs(file, types), body: file };
    note.textContent = "Choose a file first.";
    files.input.focus();
    return undefined;
  };
  return { body, node: element("div", { class: "editor" }, labelled("file", `Body, ${types.join(" or ")}`), files.input, files.preview, note),
    fill: (value) => { if (typeof value === "string") files.put([value]); },
    select: () => files.input.focus(),
    curl: () => {
      const [file] = files.files();
      return [header("Content-Type", sentAs(file || { type: guessed(range) }, types)), `--data-binary ${argument(`@${file?.name || `input.${ending(range)}`}`)}`];
    } };
}

const argument = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : quoted(text));
