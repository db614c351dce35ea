// Schemas in words, as tables, and as a value to begin with.

const MOST_ROWS = 400;
const DEEPEST = 6;
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

/** A schema without its `$ref`s, and the references that were followed. */
function settled(schema) {
  const followedRefs = [];
  let current = plain(schema);
  while (typeof current.$ref === "string" && followedRefs.length < 16) {
    const { $ref, ...beside } = current;
    followedRefs.push($ref);
    current = { ...plain(target($ref) ?? true), ...beside };
  }
  return { schema: current, refs: followedRefs };
}

function plain(schema) {
  if (isObject(schema)) return schema;
  return schema === false ? { not: true } : {};
}

const lastPart = (reference) => pointerParts(reference).pop() ?? reference;
const choices = (schema) => [schema.anyOf, schema.oneOf].find((list) => Array.isArray(list)) || [];
const isBare = (schema) => Object.keys(plain(schema)).every((key) => key === "type");

function kind(schema, depth = 0) {
  const { schema: own, refs } = settled(schema);
  const label = bareKind(own, depth);
  if (!refs.length) return label;
  return label === "anything" ? lastPart(refs[0]) : `${lastPart(refs[0])} (${label})`;
}

function bareKind(own, depth) {
  if (own.format === "tensor") return own.oneOf?.some((each) => each.type === "null") || own.type?.includes("null") ? "tensor or null" : "tensor";
  if (own.contentEncoding === "base64") return bytesKind(own);
  if (typeof own.type === "string") return own.type === "array" ? listKind(own, depth) : own.format === "binary" ? "file" : own.type;
  if (Array.isArray(own.type)) return own.type.join(" or ");
  const joined = (list, word) => [...new Set(list.map((each) => kind(each, depth + 1)))].join(word);
  if (depth < DEEPEST && own.allOf) return joined(own.allOf, " and ");
  const options = choices(own);
  if (depth < DEEPEST && options.length) return options.length > 6 ? `one of ${options.length} forms` : joined(options, " or ");
  if (own.not === true) return "nothing";
  if (Object.hasOwn(own, "const")) return valueKind(own.const);
  if (own.enum?.length) return [...new Set(own.enum.map(valueKind))].join(" or ");
  return own.properties ? "object" : "anything";
}

function valueKind(value) {
  if (value === null) return "null";
  return Array.isArray(value) ? "list" : typeof value;
}

function bytesKind(own) {
  const name = ["image", "file"].includes(own.format) ? own.format : "bytes";
  return `${name}${Array.isArray(own.type) ? " or null" : ""}`;
}

function listKind(own, depth) {
  if (own.prefixItems) return "tuple";
  return isObject(own.items) && depth < DEEPEST ? `list of ${kind(own.items, depth + 1)}` : "list";
}

const LIMITS = {
  minimum: (value) => ["≥", value], exclusiveMinimum: (value) => [">", value],
  maximum: (value) => ["≤", value], exclusiveMaximum: (value) => ["<", value],
  multipleOf: (value) => ["multiple of", value],
  minLength: (value) => ["characters ≥", value], maxLength: (value) => ["characters ≤", value],
  minItems: (value) => ["items ≥", value], maxItems: (value) => ["items ≤", value],
  minProperties: (value) => ["properties ≥", value], maxProperties: (value) => ["properties ≤", value],
  uniqueItems: (value) => value && ["no item twice"],
  pattern: (value, own) => own.contentEncoding !== "base64" && ["matches", value, "raw"],
  format: (value) => !["tensor", "image", "file", "binary"].includes(value) && ["format", value, "raw"],
  maxPixels: (value) => ["pixels ≤", value],
  contentEncoding: (value) => [`${value} in JSON`],
  contentMediaType: (value) => ["media type", value, "raw"],
  dtype: (value) => ["dtype", value, "raw"],
  shape: (value) => ["shape", value],
  const: (value) => ["always", value],
  default: (value) => ["default", value],
  additionalProperties: (value) => value === false && ["no other properties"],
  deprecated: (value) => value && ["deprecated"],
};

function limits(own) {
  const found = Object.entries(LIMITS).flatMap(([key, say]) => {
    const said = Object.hasOwn(own, key) && say(own[key], own);
    return said ? [limit(said)] : [];
  });
  if (Array.isArray(own.enum)) found.push(enumeration(own.enum));
  return found.length ? element("div", { class: "limits" }, found) : "";
}

function limit([words, value, raw]) {
  if (value === undefined) return element("span", {}, words);
  return element("span", {}, `${words} `, element("code", {}, raw ? String(value) : JSON.stringify(value)));
}

function enumeration(values) {
  const shown = values.slice(0, 40).flatMap((value, at) => [at ? ", " : "", element("code", {}, JSON.stringify(value))]);
  return element("span", {}, "one of ", shown, values.length > 40 ? ` and ${values.length - 40} more` : "");
}

/** The schemas inside a schema, each with the name that a person would give it. */
function parts(own) {
  if (own.format === "tensor") return []; // its dtype and shape say it
  const named = (key, name) => Object.entries(isObject(own[key]) ? own[key] : {}).map(([each, schema]) => name(each, schema));
  const listed = (key, name) => (Array.isArray(own[key]) ? own[key] : []).map((schema, at) => ({ words: name(at), schema }));
  const single = (key, words) => (isObject(own[key]) && Object.keys(own[key]).length ? [{ words, schema: own[key] }] : []);
  const required = new Set(Array.isArray(own.required) ? own.required : []);
  const options = choices(own).every(isBare) ? [] : ["anyOf", "oneOf"];
  return [
    ...named("properties", (name, schema) => ({ name, schema, required: required.has(name) })),
    ...[...required].filter((name) => !Object.hasOwn(own.properties || {}, name))
      .map((name) => ({ name, schema: true, required: true })),
    ...named("patternProperties", (name, schema) => ({ words: "names matching ", name, schema })),
    ...single("additionalProperties", "every other property"),
    ...listed("prefixItems", (at) => `item ${at}`),
    ...(isObject(own.items) && !isBare(own.items) ? [{ words: own.prefixItems ? "every other item" : "each item", schema: own.items }] : []),
    ...single("contains", "at least one item"),
    ...listed("allOf", (at) => (at ? "and also" : "all of")),
    ...options.flatMap((key) => listed(key, (at) => (at ? "or" : "either"))),
    ...single("not", "but not"),
    ...single("if", "if"), ...single("then", "then"), ...single("else", "else"),
  ];
}

function rows(part, depth, seen, out) {
  if (out.length >= MOST_ROWS) return;
  const { schema: own, refs } = settled(part.schema);
  const again = refs.some((reference) => seen.includes(reference));
  out.push(element("tr", depth ? { class: `d${Math.min(depth, DEEPEST)}` } : {},
    element("td", { class: `d${Math.min(depth, DEEPEST)}` }, part.words ? element("span", { class: "muted" }, part.words) : "",
      part.name === undefined ? "" : element("code", {}, part.name || '""'),
      part.required ? element("span", { class: "required" }, "required") : ""),
    element("td", {}, kind(part.schema)),
    element("td", {}, paragraph(own.title), paragraph(own.description), limits(own),
      again ? element("span", { class: "muted" }, "as above") : "")));
  if (!again && depth < DEEPEST) parts(own).forEach((each) => rows(each, depth + 1, [...seen, ...refs], out));
}

function schemaSection(title, id, schema, types) {
  const { schema: own, refs } = settled(schema);
  const body = [];
  parts(own).forEach((part) => rows(part, 0, refs, body));
  const head = element("thead", {}, element("tr", {}, ["Name", "Type", "Meaning"].map((name) => element("th", { scope: "col" }, name))));
  return element("section", { class: "schema", "aria-labelledby": id },
    element("div", { class: "row" }, element("h3", { id }, title), element("span", { class: "muted" }, kind(schema))),
    paragraph(own.description), limits(own),
    types.length ? element("p", { class: "limits" }, "as", types.map((type) => element("code", {}, type))) : "",
    body.length ? element("table", { "aria-labelledby": id }, head, element("tbody", {}, body)) : "",
    element("details", {}, element("summary", {}, "JSON Schema"),
      element("pre", { class: "well" }, coloured(arranged(JSON.stringify(schema))))));
}

/** A value to begin with: what the schema suggests, else the simplest that has its shape. */
function skeleton(schema, depth = 0) {
  const { schema: own } = settled(schema);
  if (Object.hasOwn(own, "default")) return own.default;
  if (Object.hasOwn(own, "const")) return own.const;
  if (own.enum?.length) return own.enum[0];
  if (own.examples?.length) return own.examples[0];
  if (own.format === "tensor") return zeros(own.shape || [], own.dtype);
  if (own.contentEncoding === "base64") return inRange("image/png", own.contentMediaType || "") ? PIXEL : "";
  if (depth > DEEPEST) return null;
  const options = choices(own);
  if (options.length && !own.type && !own.properties) return skeleton(options[0], depth + 1);
  const all = (own.allOf || []).map((each) => skeleton(each, depth + 1));
  if (all.length) return all.every(isObject) ? Object.assign(objectSkeleton(own, depth), ...all) : all[0];
  return ofType(Array.isArray(own.type) ? own.type[0] : own.type, own, depth);
}

function ofType(type, own, depth) {
  if (type === "object" || (!type && own.properties)) return objectSkeleton(own, depth);
  if (type === "array") {
    if (own.prefixItems) return own.prefixItems.map((each) => skeleton(each, depth + 1));
    return own.items === undefined ? [] : [skeleton(own.items, depth + 1)];
  }
  if (type === "number" || type === "integer") return own.minimum ?? 0;
  return { string: "", boolean: false }[type] ?? null;
}

function objectSkeleton(own, depth) {
  const names = own.required?.length ? own.required : Object.keys(own.properties || {});
  return Object.fromEntries(names.map((name) => [name, skeleton(own.properties?.[name] ?? true, depth + 1)]));
}

function zeros(shape, dtype = "") {
  if (!shape.length) return dtype === "bool" ? false : dtype.startsWith("complex") ? [0, 0] : 0;
  const size = Number.isInteger(shape[0]) && shape[0] >= 0 ? Math.min(shape[0], 32) : 1;
  return Array.from({ length: size }, () => zeros(shape.slice(1), dtype));
}
