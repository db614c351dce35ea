// A form: a field for each property of an object, sent as multipart/form-data.

function formEditor(api, changed) {
  const { schema } = settled(api.content[MULTIPART].schema);
  const encoding = api.content[MULTIPART].encoding || {};
  const required = new Set(schema.required || []);
  const inJson = settled(api.input).schema.properties || {};
  const fields = Object.entries(schema.properties || {}).map(([name, each], at) =>
    field(name, fileOf(each) ? each : inJson[name] ?? each, { id: `field-${at}`, required: required.has(name), type: encoding[name]?.contentType || "", changed }));
  const missing = () => {
    const wrong = fields.find((each) => each.lacks());
    wrong?.focus();
    return wrong;
  };
  return {
    node: element("div", { class: "editor form" }, fields.map((each) => each.node)),
    fill: (value) => fields.forEach((each) => each.fill(isObject(value) ? value[each.name] : undefined)),
    select: (pointer) => (fields.find((each) => each.name === pointerParts(pointer)[0]) || fields[0])?.focus(),
    body: () => {
      if (missing()) return undefined;
      const data = new FormData();
      for (const each of fields) for (const part of each.parts()) data.append(each.name, part);
      return { type: "", body: data };
    },
    curl: () => fields.flatMap((each) => each.curl()),
  };
}

function field(name, schema, options) {
  const { schema: own } = settled(schema);
  const many = fileOf(schema) && own.type === "array";
  const made = fileOf(schema) ? fileField(name, fileOf(schema), many, options) : plainField(name, own, options);
  const words = [element("code", {}, name || '""'), options.required ? element("span", { class: "required" }, "required") : "",
    element("span", { class: "muted" }, many ? "files" : kind(schema))];
  return { name, ...made, focus: () => made.control.focus(),
    node: element("div", { class: "field" }, element("label", { for: options.id, class: "row" }, words),
      own.description ? element("p", { class: "muted", id: `${options.id}-about` }, prose(own.description)) : "", made.inside, made.note) };
}

function fileField(name, own, many, { id, required, type, changed }) {
  const note = element("p", { class: "note", role: "status" });
  const range = type || own.contentMediaType || "*/*";
  const files = chooser(id, range, { multiple: many, name, changed: () => { note.textContent = ""; changed(); } });
  return { control: files.input, inside: [files.input, files.preview], note,
    parts: () => files.files(),
    lacks: () => {
      note.textContent = required && !many && !files.files().length ? "Choose a file first." : "";
      return note.textContent !== "";
    },
    fill: (value) => files.put([value].flat().filter((each) => typeof each === "string")),
    curl: () => {
      const chosen = files.files();
      if (!chosen.length && !required) return [];
      return chosen.length ? chosen.map((file) => partOf(name, file.name, file.type)) : [partOf(name, `${name}.${ending(range)}`, "")];
    } };
}

const SCALARS = ["string", "number", "integer", "boolean"];

/** A field whose value is a text, a choice, or JSON. */
function plainField(name, own, { id, required, changed }) {
  const note = element("p", { class: "note", role: "status" });
  const options = own.type === "boolean" ? [true, false] : own.enum;
  const asJson = !options && !SCALARS.includes(own.type);
  const check = () => {
    note.textContent = asJson && control.value.trim() ? fault(control.value) : "";
    changed();
  };
  const about = own.description ? `${id}-about` : undefined;
  const hint = own.default === undefined ? "" : `default ${JSON.stringify(own.default)}`;
  const control = options ? choice(id, options, { required, hint, about, changed })
    : textArea(id, check, { rows: 1, placeholder: hint, "aria-describedby": about, class: asJson || own.type !== "string" ? "" : "words" });
  const write = (value) => {
    control.value = value === undefined ? "" : typeof value === "string" && !asJson ? value : arranged(JSON.stringify(value));
  };
  if (required) write(skeleton(own));
  const parts = () => (control.value === "" && !(required && own.type === "string") ? [] : [control.value]);
  return { control, inside: [control], note, parts, lacks: () => false,
    fill: (value) => { write(value); check(); },
    curl: () => parts().map((text) => `--form-string ${quoted(`${name}=${text}`)}`) };
}

function choice(id, options, { required, hint, about, changed }) {
  const known = options.map((each) => element("option", { value: typeof each === "string" ? each : JSON.stringify(each) }, String(each)));
  return element("select", { id, "aria-describedby": about, onchange: changed },
    required ? "" : element("option", { value: "" }, hint || "not given"), known);
}
