// Trying an API: the panel, the call, and the same with curl.

let leave = () => {};
const panels = new Map();

/** The panel of an API; it keeps what was filled in and what came back while others are looked at. */
function tryPanel(api) {
  if (!panels.has(api.name)) panels.set(api.name, makePanel(api));
  leave = panels.get(api.name).leave;
  return panels.get(api.name).node;
}

function makePanel(api) {
  const command = element("code");
  const place = element("div", {});
  const parts = {
    answer: element("div", { class: "answer", id: "answer" }),
    status: element("p", { class: "muted", id: "progress", role: "status" }),
    button: element("button", { type: "submit", class: "send", id: "send" }, "Send"),
    accept: acceptChoice(api, () => changed()),
  };
  const panel = { api, ...parts, editor: undefined };
  const changed = () => {
    if (panel.editor) command.textContent = curl(panel);
    panel.status.textContent = "";
  };
  const editors = editorsOf(api).map(([name, make]) => [name, once(() => make(changed), api)]);
  const use = (name) => {
    panel.editor = editors.find(([each]) => each === name)[1]();
    place.replaceChildren(panel.editor.node);
    changed();
  };
  const call = caller(panel);
  use(editors[0][0]);
  const node = element("form", { class: "try", "aria-labelledby": "try", novalidate: true,
    onsubmit: (event) => { event.preventDefault(); call.toggle(); },
    onkeydown: (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) call.toggle(); } },
  element("div", { class: "row spread" }, element("h3", { id: "try" }, "Try it"), exampleButtons(api, panel)),
  editors.length > 1 ? bodyChoice(editors.map(([name]) => name), use) : "", place,
  element("div", { class: "row" }, parts.button, parts.accept.node, parts.status),
  parts.answer,
  element("div", { class: "row spread" }, element("span", { class: "muted" }, "The same with curl"), copyButton("the curl command", command)),
  element("pre", { class: "well", id: "curl" }, command));
  return { node, leave: call.stop };
}

/** Makes an editor when it is first wanted, filled with the first example. */
function once(make, api) {
  let made;
  return () => {
    if (!made) {
      made = make();
      if (api.examples.length) made.fill(api.examples[0].value);
    }
    return made;
  };
}

function bodyChoice(names, use) {
  return element("fieldset", { class: "row choice" }, element("legend", { class: "unseen" }, "Body as"),
    names.map((name, at) => element("label", {},
      element("input", { type: "radio", name: "as", value: name, checked: at === 0, onchange: () => use(name) }), name)));
}

/** Which of several media types is asked for. The first is what comes without asking. */
function acceptChoice(api, changed) {
  if (api.offers.length < 2) return { node: "", value: () => "", expected: () => api.offers[0] || JSON_TYPE };
  const select = element("select", { id: "accept", onchange: changed },
    api.offers.map((type, at) => element("option", { value: at ? type : "" }, at ? type : `${type} (default)`)));
  return { value: () => select.value, expected: () => select.value || api.offers[0],
    node: element("span", { class: "row" }, element("label", { for: "accept", class: "muted" }, "Answer as"), select) };
}

function exampleButtons(api, panel) {
  if (!api.examples.length) return "";
  return element("div", { class: "row", role: "group", "aria-label": "Examples" }, api.examples.map((example) =>
    element("button", { type: "button", class: "example", onclick: () => panel.editor.fill(example.value) }, example.name || "example")));
}

const isText = (type) => type.startsWith("text/") || type.endsWith("json");

function curl({ api, accept, editor }) {
  const wanted = accept.value();
  const binary = !api.stream && !isText(accept.expected());
  return [`curl ${api.stream ? "-sSN" : "-sS"} ${quoted(address(api.path))}`, ...(wanted ? [header("Accept", wanted)] : []),
    ...editor.curl(), ...(binary ? [`-o answer.${ending(accept.expected())}`] : [])].join(" \\\n  ");
}

/** Sends the editor's content, or gives up the call that is under way. */
function caller(panel) {
  const { api, button, status, answer } = panel;
  let running = null;
  const stop = () => running?.abort();
  const begin = async (content) => {
    running = new AbortController();
    button.textContent = api.stream ? "Stop" : "Cancel";
    button.classList.add("running");
    status.textContent = "Waiting for the answer…";
    replace(answer);
    try {
      await send(panel, content, running.signal);
      status.textContent = "";
    } catch (error) {
      status.textContent = error.name === "AbortError" ? "Cancelled." : `No answer: ${error.message}`;
    }
    running = null;
    button.textContent = "Send";
    button.classList.remove("running");
  };
  const toggle = () => {
    if (running) return stop();
    const content = panel.editor.body();
    return content ? begin(content) : undefined;
  };
  return { toggle, stop };
}

async function send({ api, editor, accept, answer, status }, { type, body }, signal) {
  const began = performance.now();
  const headers = { ...(type ? { "Content-Type": type } : {}), ...(accept.value() ? { Accept: accept.value() } : {}) };
  const response = await fetch(address(api.path), { method: "POST", headers, body, cache: "no-store", signal });
  const got = { status: response.status, reason: response.statusText, ok: response.ok, headers: response.headers,
    type: (response.headers.get("Content-Type") || "").split(";")[0].trim().toLowerCase(), schema: api.output };
  if (api.stream && got.ok) {
    const view = streamView(got.type, editor);
    status.textContent = "";
    replace(answer, headOf(got), view.node, factsOf(got));
    answer.firstChild.scrollIntoView({ block: "nearest" });
    await readStream(response, got.type, view);
    return;
  }
  got.blob = await response.blob();
  got.ms = performance.now() - began;
  got.text = isText(got.type) ? await got.blob.text() : "";
  say(`${got.status} ${got.reason} in ${Math.round(got.ms)} ms`);
  replace(answer, ...answerView(got, editor));
  answer.firstChild.scrollIntoView({ block: "nearest" });
}
