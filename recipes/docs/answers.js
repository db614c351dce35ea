// Answers, by media type: the first that matches shows it.

const LONGEST_SHOWN = 400000;

const ANSWERS = [
  [(type) => type === "application/problem+json", problemView],
  [(type) => type.endsWith("json"), jsonView],
  [(type) => type.startsWith("text/"), textView],
  [() => true, bytesView],
];

function answerView(got, editor) {
  const view = ANSWERS.find(([matches]) => matches(got.type))[1];
  return [headOf(got), ...view(got, editor), factsOf(got)];
}

function headOf(got) {
  const measured = got.blob ? [`${Math.round(got.ms)} ms`, size(got.blob.size)] : [];
  return element("p", { class: "row" }, element("span", { class: `status ${got.ok ? "good" : "bad"}` }, `${got.status} ${got.reason}`),
    element("span", { class: "muted" }, [...measured, got.type].join(" · ")));
}

function factsOf(got) {
  const id = got.headers.get("X-Request-Id");
  return element("p", { class: "row muted", id: "facts" },
    id && element("span", {}, "Request ", element("code", { id: "request-id" }, id)), element("span", {}, timings(got)));
}

function timings(got) {
  const named = (got.headers.get("Server-Timing") || "").split(",").flatMap((entry) => {
    const [name, ...rest] = entry.trim().split(";");
    const duration = rest.map((each) => /^\s*dur=([\d.]+)/.exec(each)).find(Boolean);
    return name && duration ? [`${name} ${duration[1]} ms`] : [];
  });
  return named.join(" · ");
}

function bytesView(got) {
  const name = `answer.${ending(got.type || "*/*")}`;
  return [...shown(got.blob, got.type, `The answer, ${got.type}`), element("p", {}, keepLink(got.blob, name))];
}

function framed(code, what) {
  return element("div", { class: "framed" }, copyButton(what, code),
    element("pre", { class: "well", tabindex: "0", role: "region", "aria-label": "Answer" }, code));
}

function textView(got) {
  return [framed(element("code", { id: "answer-body" }, got.text.slice(0, LONGEST_SHOWN)), "the answer")];
}

function jsonView(got) {
  const valid = !fault(got.text);
  const found = valid && got.schema !== undefined ? bytesIn(JSON.parse(got.text), got.schema).map(bytesFound) : [];
  if (got.text.length > LONGEST_SHOWN) {
    return [...found, element("p", { class: "muted" }, "Only the beginning is shown."), element("pre", { class: "well" }, got.text.slice(0, LONGEST_SHOWN))];
  }
  return [...found, framed(element("code", { id: "answer-body" }, valid ? coloured(arranged(got.text)) : [got.text]), "the answer")];
}

/** Bytes that stood in JSON as base64. */
function bytesFound({ pointer, blob, type }) {
  const name = `${pointerParts(pointer).pop() ?? "answer"}.${ending(type)}`;
  return element("div", { class: "found" }, pointer ? element("code", { class: "muted" }, pointer) : "", ...shown(blob, type, pointer || "The answer"), keepLink(blob, name));
}

function problemView(got, editor) {
  if (fault(got.text) || !isObject(JSON.parse(got.text))) return textView(got);
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
