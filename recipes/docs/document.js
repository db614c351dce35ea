// The OpenAPI document, as the APIs that a person can read and try.

const JSON_TYPE = "application/json";
const MULTIPART = "multipart/form-data";
let openapi = {};

/** What a reference within the document names, or undefined. */
function target(reference) {
  let value = openapi;
  let pointer;
  try {
    pointer = decodeURIComponent(reference);
  } catch {
    return undefined;
  }
  if (pointer !== "#" && !pointer.startsWith("#/")) return undefined;
  for (const key of pointerParts(pointer)) {
    if (value === null || typeof value !== "object" || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const followed = (value) => (isObject(value) && value.$ref ? { ...target(value.$ref), ...value } : value);

function readApis() {
  return Object.entries(openapi.paths || {}).flatMap(([path, item]) => (item.post ? [readApi(path, item.post)] : []));
}

function readApi(path, operation) {
  const content = operation.requestBody?.content || {};
  const answers = followed(operation.responses?.["200"])?.content || {};
  const taken = content[JSON_TYPE] || {};
  return {
    path,
    name: String(operation.operationId ?? path),
    title: operation.summary || operation.operationId || path,
    description: operation.description,
    tags: operation.tags || [],
    deprecated: operation.deprecated === true,
    stream: operation["x-stream"] || "",
    content,
    takes: Object.keys(content),
    offers: Object.keys(answers),
    input: taken.schema ?? true,
    output: answerSchema(answers),
    examples: Object.entries(taken.examples || {}).map(([name, example]) => ({ name, value: followed(example).value })),
    problems: Object.entries(operation.responses || {})
      .filter(([status]) => status !== "200")
      .map(([status, response]) => ({ status, description: followed(response).description || "" })),
  };
}

/** The schema of an answer, or of one chunk of it. */
function answerSchema(answers) {
  const events = answers["text/event-stream"]?.schema.oneOf?.[0].properties.data.contentSchema;
  const lines = answers["application/x-ndjson"]?.schema.anyOf?.[0];
  return events ?? lines ?? (answers[JSON_TYPE] || Object.values(answers)[0])?.schema ?? true;
}

/** The address of a path as seen from this page, also behind a proxy that adds or takes away a prefix. */
function address(path) {
  const own = Object.keys(openapi.paths).find((each) => each.endsWith("/openapi.json") && openapi.paths[each].get);
  const prefix = own ? own.slice(0, -"/openapi.json".length) : "";
  if (!path.startsWith(`${prefix}/`)) return location.origin + path;
  return new URL(`.${path.slice(prefix.length)}`, location.href.replace(/[?#].*/, "")).href;
}
