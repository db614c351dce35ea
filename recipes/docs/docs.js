// The page of /docs: reads openapi.json beside it and lets a person read and try every API.
// Texts of the document reach the page as text nodes only, never as markup.
"use strict";
(() => {
  const JSON_TYPE = "application/json";
  const AS_BASE64 = ["image", "file", "binary"];
  const MOST_ROWS = 400;
  const DEEPEST = 6;
  const LONGEST_SHOWN = 400000;
  const LONGEST_IN_CURL = 20000;
  let openapi = {};
  let apis = [];
  let leave = () => {};
  const drafts = new Map();

  // ── elements ──

  const byId = (id) => document.getElementById(id);

  function element(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") node.addEventListener(name.slice(2), value);
      else if (value !== false && value !== undefined) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat().filter((child) => child !== "" && child !== null && child !== undefined));
    return node;
  }

  /** A text; what stands between backticks is code. */
  function prose(text) {
    return String(text).split(/`([^`\n]+)`/).map((part, index) => (index % 2 ? element("code", {}, part) : part));
  }

  const paragraph = (text, kind = "prose") => (text ? element("p", { class: kind }, prose(text)) : "");

  /** Tells those who hear the page what others see. */
  const say = (text) => { byId("said").textContent = text; };

  async function copy(text, source, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      getSelection().selectAllChildren(source); // no clipboard outside of secure pages
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    say("Copied");
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }

  const copyButton = (what, source) =>
    element("button", { type: "button", class: "plain", "aria-label": `Copy ${what}`,
      onclick: (event) => copy(source.textContent, source, event.currentTarget) }, "Copy");

  // ── JSON as text ──

  const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*|true|false|null|[[\]{},:]/g;

  /** Why `text` is no JSON, or nothing. */
  function fault(text) {
    try {
      JSON.parse(text);
      return "";
    } catch (error) {
      return text.trim() ? `Not JSON: ${error.message}` : "Empty: the API expects JSON.";
    }
  }

  /** Valid JSON, indented; its numbers stay as they are written, and a list of scalars stays on one line. */
  function arranged(text) {
    const tokens = text.match(TOKEN) || [];
    const parts = [];
    let depth = 0;
    const line = () => parts.push(`\n${"  ".repeat(depth)}`);
    for (let at = 0; at < tokens.length; at += 1) {
      const token = tokens[at];
      const end = flatEnd(tokens, at);
      if (end > at) {
        parts.push(token, tokens.slice(at + 1, end).filter((item) => item !== ",").join(", "), tokens[end]);
        at = end;
      } else if (token === "{" || token === "[") {
        parts.push(token);
        depth += 1;
        line();
      } else if (token === "}" || token === "]") {
        depth -= 1;
        line();
        parts.push(token);
      } else {
        parts.push(token === ":" ? ": " : token);
        if (token === ",") line();
      }
    }
    return parts.join("");
  }

  /** Where the list at `at` ends, if it holds only scalars; empty objects count too. */
  function flatEnd(tokens, at) {
    if (tokens[at] === "{") return tokens[at + 1] === "}" ? at + 1 : -1;
    if (tokens[at] !== "[") return -1;
    for (let end = at + 1; end < tokens.length; end += 1) {
      if (tokens[end] === "]") return end;
      if (tokens[end] === "[" || tokens[end] === "{") return -1;
    }
    return -1;
  }

  /** JSON text as coloured pieces; a very long text stays one piece. */
  function coloured(text) {
    if (text.length > 60000) return [text];
    const pieces = [];
    let done = 0;
    for (const match of text.matchAll(TOKEN)) {
      const end = match.index + match[0].length;
      const kind = tokenKind(match[0], text[end]);
      if (!kind) continue;
      pieces.push(text.slice(done, match.index), element("span", { class: kind }, match[0]));
      done = end;
    }
    return [...pieces, text.slice(done)];
  }

  function tokenKind(token, next) {
    if (token[0] === '"') return next === ":" ? "key" : "string";
    if (/^[tfn]/.test(token)) return "word";
    return /^[-\d]/.test(token) ? "number" : "";
  }

  /** Start and end in `text` of what a JSON Pointer names, or of the deepest part that is there. */
  function locate(text, pointer) {
    const tokens = [...text.matchAll(TOKEN)];
    let at = 0;
    for (const part of pointerParts(pointer)) {
      const child = childAt(tokens, at, part);
      if (child < 0) break;
      at = child;
    }
    const last = tokens[after(tokens, at) - 1];
    return last ? [tokens[at].index, last.index + last[0].length] : [0, 0];
  }

  const pointerParts = (pointer) =>
    pointer.split("/").slice(1).map((part) => part.replace(/~1/g, "/").replace(/~0/g, "~"));

  /** The token after the value that begins at `at`. */
  function after(tokens, at) {
    let depth = 0;
    for (let next = at; next < tokens.length; next += 1) {
      const token = tokens[next][0];
      if (token === "{" || token === "[") depth += 1;
      if (token === "}" || token === "]") depth -= 1;
      if (depth <= 0) return next + 1;
    }
    return tokens.length;
  }

  function childAt(tokens, at, part) {
    const keyed = tokens[at]?.[0] === "{";
    if (!keyed && tokens[at]?.[0] !== "[") return -1;
    let next = at + 1;
    for (let index = 0; next < tokens.length && !/^[\]}]$/.test(tokens[next][0]); index += 1) {
      const name = keyed ? JSON.parse(tokens[next][0]) : String(index);
      const value = keyed ? next + 2 : next;
      if (name === part) return value;
      next = after(tokens, value);
      if (tokens[next]?.[0] === ",") next += 1;
    }
    return -1;
  }

  // ── the document ──

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
    const taken = operation.requestBody?.content?.[JSON_TYPE] || {};
    const given = followed(operation.responses?.["200"])?.content?.[JSON_TYPE] || {};
    return {
      path,
      name: String(operation.operationId ?? path),
      title: operation.summary || operation.operationId || path,
      description: operation.description,
      tags: operation.tags || [],
      deprecated: operation.deprecated === true,
      input: taken.schema ?? true,
      output: given.schema ?? true,
      examples: Object.entries(taken.examples || {}).map(([name, example]) => ({ name, value: followed(example).value })),
      problems: Object.entries(operation.responses || {})
        .filter(([status]) => status !== "200")
        .map(([status, response]) => ({ status, description: followed(response).description || "" })),
    };
  }

  /** The address of a path as seen from this page, also behind a proxy that adds or takes away a prefix. */
  function address(path) {
    const own = Object.keys(openapi.paths).find((each) => each.endsWith("/openapi.json") && openapi.paths[each].get);
    const prefix = own ? own.slice(0, -"/openapi.json".length) : "";
    if (!path.startsWith(`${prefix}/`)) return location.origin + path;
    return new URL(`.${path.slice(prefix.length)}`, location.href.replace(/[?#].*/, "")).href;
  }

  // ── schemas, read ──

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
    if (own.format === "tensor") return "tensor";
    if (typeof own.type === "string") return own.type === "array" ? listKind(own, depth) : withFormat(own);
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

  function withFormat(own) {
    return AS_BASE64.includes(own.format) ? `${own.format}, as base64` : own.type;
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
    pattern: (value) => ["matches", value, "raw"],
    format: (value) => !["tensor", ...AS_BASE64].includes(value) && ["format", value, "raw"],
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
      const said = Object.hasOwn(own, key) && say(own[key]);
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

  function schemaSection(title, id, schema) {
    const { schema: own, refs } = settled(schema);
    const body = [];
    parts(own).forEach((part) => rows(part, 0, refs, body));
    const head = element("thead", {}, element("tr", {}, ["Name", "Type", "Meaning"].map((name) => element("th", { scope: "col" }, name))));
    return element("section", { class: "schema", "aria-labelledby": id },
      element("div", { class: "row" }, element("h3", { id }, title), element("span", { class: "muted" }, kind(schema))),
      paragraph(own.description), limits(own),
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
    if (own.format === "tensor") return zeros(own.shape || []);
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

  function zeros(shape) {
    if (!shape.length) return 0;
    const size = Number.isInteger(shape[0]) && shape[0] >= 0 ? Math.min(shape[0], 32) : 1;
    return Array.from({ length: size }, () => zeros(shape.slice(1)));
  }

  // ── try it ──

  const quoted = (text) => `'${text.replace(/'/g, "'\\''")}'`;

  function curl(api, text) {
    const body = text.length > LONGEST_IN_CURL ? "--data-binary @body.json" : `--data-raw ${quoted(text)}`;
    return `curl -sS ${quoted(address(api.path))} \\\n  -H ${quoted(`Content-Type: ${JSON_TYPE}`)} \\\n  ${body}`;
  }

  function jsonEditor(api, changed) {
    const note = element("p", { id: "note", class: "note", role: "status" });
    const area = element("textarea", { id: "body", rows: 8, spellcheck: "false", autocomplete: "off", autocapitalize: "off",
      "aria-describedby": "note", oninput: () => show() });
    const show = () => {
      const wrong = fault(area.value);
      note.textContent = wrong;
      area.setAttribute("aria-invalid", wrong ? "true" : "false");
      drafts.set(api.name, area.value);
      changed(area.value);
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
    return { area, note, show, fill, tidy, select, type: JSON_TYPE };
  }

  function tryPanel(api) {
    const command = element("code");
    const answer = element("div", { class: "answer", id: "answer" });
    const status = element("p", { class: "muted", id: "progress", role: "status" });
    const editor = jsonEditor(api, (text) => {
      command.textContent = curl(api, text);
      status.textContent = "";
    });
    const button = element("button", { type: "submit", class: "send", id: "send" }, "Send");
    const call = caller(api, editor, { button, status, answer });
    editor.area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) call();
    });
    begin(api, editor);
    return element("form", { class: "try", "aria-labelledby": "try", onsubmit: (event) => { event.preventDefault(); call(); } },
      element("div", { class: "row spread" }, element("h3", { id: "try" }, "Try it"), exampleButtons(api, editor)),
      element("div", { class: "editor" },
        element("div", { class: "row spread" }, element("label", { for: "body", class: "muted" }, `Body, ${JSON_TYPE}`),
          element("button", { type: "button", class: "plain", onclick: editor.tidy }, "Tidy")),
        editor.area),
      element("div", { class: "row" }, button, status, editor.note),
      answer,
      element("div", { class: "row spread" }, element("span", { class: "muted" }, "The same with curl"), copyButton("the curl command", command)),
      element("pre", { class: "well", id: "curl" }, command));
  }

  function begin(api, editor) {
    if (drafts.has(api.name)) {
      editor.area.value = drafts.get(api.name);
      editor.show();
    } else editor.fill(api.examples.length ? api.examples[0].value : skeleton(api.input));
  }

  function exampleButtons(api, editor) {
    if (!api.examples.length) return "";
    return element("div", { class: "row", role: "group", "aria-label": "Examples" }, api.examples.map((example) =>
      element("button", { type: "button", class: "example", onclick: () => editor.fill(example.value) }, example.name || "example")));
  }

  /** The function that sends the editor's content, or gives up the call that is under way. */
  function caller(api, editor, { button, status, answer }) {
    let running = null;
    leave = () => running?.abort();
    return async () => {
      if (running) return running.abort();
      running = new AbortController();
      button.textContent = "Cancel";
      status.textContent = "Waiting for the answer…";
      answer.replaceChildren();
      try {
        const got = await send(address(api.path), editor, running.signal);
        status.textContent = "";
        say(`${got.status} ${got.reason} in ${Math.round(got.ms)} ms`);
        answer.replaceChildren(...answerView(got, editor));
      } catch (error) {
        status.textContent = error.name === "AbortError" ? "Cancelled." : `No answer: ${error.message}`;
      }
      running = null;
      button.textContent = "Send";
    };
  }

  async function send(url, editor, signal) {
    const began = performance.now();
    const response = await fetch(url, { method: "POST", headers: { "Content-Type": editor.type }, body: editor.area.value, cache: "no-store", signal });
    const content = await response.blob();
    const type = (response.headers.get("Content-Type") || "").split(";")[0].trim().toLowerCase();
    const text = type.startsWith("text/") || type.endsWith("json") ? await content.text() : "";
    return { status: response.status, reason: response.statusText, ok: response.ok, ms: performance.now() - began,
      headers: response.headers, size: content.size, type, text };
  }

  // ── answers, by media type: the first that matches shows it ──

  const ANSWERS = [
    [(type) => type === "application/problem+json", problemView],
    [(type) => type.endsWith("json"), jsonView],
    [(type) => type.startsWith("text/"), (got) => [element("pre", { class: "well" }, got.text.slice(0, LONGEST_SHOWN))]],
    [() => true, (got) => [element("p", { class: "muted" }, `${got.size} bytes of ${got.type || "an unnamed type"}.`)]],
  ];

  function answerView(got, editor) {
    const view = ANSWERS.find(([matches]) => matches(got.type))[1];
    const head = element("p", { class: "row" }, element("span", { class: `status ${got.ok ? "good" : "bad"}` }, `${got.status} ${got.reason}`),
      element("span", { class: "muted" }, `${Math.round(got.ms)} ms · ${size(got.size)}`));
    return [head, ...view(got, editor), element("p", { class: "row muted", id: "facts" }, facts(got))];
  }

  function facts(got) {
    const id = got.headers.get("X-Request-Id");
    return [id && element("span", {}, "Request ", element("code", { id: "request-id" }, id)), element("span", {}, timings(got))];
  }

  const size = (bytes) => (bytes < 1000 ? `${bytes} bytes` : `${(bytes / 1000).toFixed(1)} kB`);

  function timings(got) {
    const named = (got.headers.get("Server-Timing") || "").split(",").flatMap((entry) => {
      const [name, ...rest] = entry.trim().split(";");
      const duration = rest.map((each) => /^\s*dur=([\d.]+)/.exec(each)).find(Boolean);
      return name && duration ? [`${name} ${duration[1]} ms`] : [];
    });
    return named.join(" · ");
  }

  function jsonView(got) {
    if (got.text.length > LONGEST_SHOWN) {
      return [element("p", { class: "muted" }, "Only the beginning is shown."), element("pre", { class: "well" }, got.text.slice(0, LONGEST_SHOWN))];
    }
    const pieces = fault(got.text) ? [got.text] : coloured(arranged(got.text));
    const code = element("code", { id: "answer-body" }, pieces);
    return [element("div", { class: "framed" }, copyButton("the answer", code),
      element("pre", { class: "well", tabindex: "0", role: "region", "aria-label": "Answer" }, code))];
  }

  function problemView(got, editor) {
    if (fault(got.text) || !isObject(JSON.parse(got.text))) return jsonView(got);
    const problem = JSON.parse(got.text);
    const wrong = Array.isArray(problem.errors) ? problem.errors.filter(isObject) : [];
    return [
      element("div", { class: "problem" },
        element("div", { class: "row spread" }, element("h4", {}, String(problem.title || "Problem")), element("code", {}, String(problem.code || ""))),
        paragraph(problem.detail),
        wrong.length ? element("ul", {}, wrong.map((error) => pointedView(error, editor))) : ""),
      element("details", {}, element("summary", {}, "As it came"), element("pre", { class: "well" }, coloured(arranged(got.text)))),
    ];
  }

  function pointedView(error, editor) {
    const pointer = String(error.pointer ?? "");
    return element("li", {},
      element("button", { type: "button", class: "plain", title: "Select it in the editor", onclick: () => editor.select(pointer) }, pointer || "(the whole body)"),
      " ", prose(error.detail ?? ""));
  }

  // ── the page ──

  function apiView(api) {
    const heading = element("h2", { tabindex: "-1", id: "api" }, api.title);
    return element("article", { "aria-labelledby": "api" },
      element("div", { class: "head" },
        element("p", { class: "route" }, element("span", { class: "verb" }, "POST"), element("code", {}, decoded(api.path))),
        heading,
        api.deprecated || api.tags.length ? element("p", { class: "row" },
          api.deprecated ? element("span", { class: "chip warn" }, "deprecated") : "",
          api.tags.map((tag) => element("span", { class: "chip" }, tag))) : "",
        paragraph(api.description)),
      element("div", { class: "api" },
        element("div", { class: "reference" },
          schemaSection("Input", "input", api.input), schemaSection("Output", "output", api.output), problemList(api)),
        tryPanel(api)));
  }

  function problemList(api) {
    return element("details", {}, element("summary", {}, "Problems that can happen"),
      element("dl", {}, api.problems.flatMap(({ status, description }) =>
        [element("dt", {}, element("code", {}, status)), element("dd", {}, prose(description))])));
  }

  function decoded(path) {
    try {
      return decodeURI(path);
    } catch {
      return path;
    }
  }

  const link = (api) => `#/${encodeURIComponent(api.name)}`;

  function chosen() {
    return apis.find((api) => link(api) === location.hash) || apis[0];
  }

  function show(moveFocus) {
    const api = chosen();
    leave();
    for (const each of document.querySelectorAll("nav a")) {
      if (each.getAttribute("href") === (api && link(api))) each.setAttribute("aria-current", "page");
      else each.removeAttribute("aria-current");
    }
    byId("main").replaceChildren(api ? apiView(api) : element("p", { class: "muted" }, "There are no APIs here."));
    document.title = api ? `${api.title} · ${openapi.info.title}` : openapi.info.title;
    if (moveFocus) byId("api")?.focus();
  }

  function groups() {
    const found = new Map();
    for (const api of apis) {
      const tag = api.tags[0] ?? "";
      found.set(tag, [...(found.get(tag) || []), api]);
    }
    return [...found];
  }

  function listView() {
    const all = groups();
    return all.map(([tag, members]) => element("div", { class: "group" },
      all.length > 1 || tag ? element("h2", {}, tag || "other") : "",
      element("ul", {}, members.map((api) => {
        const words = [api.name, api.path, api.title, ...api.tags].join(" ").toLowerCase();
        return element("li", { "data-words": words },
          element("a", { href: link(api), class: api.deprecated ? "deprecated" : undefined, title: decoded(api.path) }, api.name));
      }))));
  }

  function applyFilter() {
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const item of document.querySelectorAll("nav li")) {
      item.hidden = !words.every((word) => item.dataset.words.includes(word));
      count += item.hidden ? 0 : 1;
    }
    for (const group of document.querySelectorAll(".group")) group.hidden = !group.querySelector("li:not([hidden])");
    byId("matches").textContent = words.length ? `${count} of ${apis.length}` : `${apis.length} APIs`;
  }

  function onKey(event) {
    if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(event.target.tagName) && !byId("search").hidden) {
      event.preventDefault();
      byId("filter").focus();
    }
  }

  function frame() {
    const info = openapi.info || {};
    byId("title").textContent = info.title || "API";
    byId("version").textContent = info.version || "";
    byId("version").hidden = !info.version;
    byId("description").replaceChildren(...prose(info.description || ""));
    byId("description").hidden = !info.description;
    byId("list").replaceChildren(...listView());
    byId("search").hidden = apis.length < 8;
    byId("filter").addEventListener("input", applyFilter);
    byId("filter").addEventListener("keydown", (event) => {
      if (event.key === "Enter") document.querySelector("nav li:not([hidden]) a")?.click();
    });
    applyFilter();
    byId("footer").replaceChildren(...Object.entries(openapi.paths).filter(([, item]) => item.get)
      .map(([path, item]) => element("a", { class: "muted", href: address(path), title: item.get.summary || "" }, path)));
  }

  async function start() {
    try {
      const response = await fetch("openapi.json", { cache: "no-cache" });
      if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
      openapi = await response.json();
      apis = readApis();
      frame();
      show(false);
      addEventListener("hashchange", () => show(true));
      byId("skip").addEventListener("click", (event) => { event.preventDefault(); byId("main").focus(); });
      addEventListener("keydown", onKey);
    } catch (error) {
      byId("main").replaceChildren(element("p", { role: "alert" }, `openapi.json could not be read: ${error.message}`));
    }
  }

  start();
})();
