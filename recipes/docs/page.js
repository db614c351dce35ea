// The page as a whole.

let apis = [];

const STREAMS = { sse: "streams events", ndjson: "streams lines", raw: "streams" };

function apiView(api) {
  const heading = element("h2", { tabindex: "-1", id: "api" }, api.title);
  return element("article", { "aria-labelledby": "api" },
    element("div", { class: "head" },
      element("p", { class: "route" }, element("span", { class: "verb" }, "POST"), element("code", {}, decoded(api.path))),
      heading,
      api.deprecated || api.stream || api.tags.length ? element("p", { class: "row" },
        api.deprecated ? element("span", { class: "chip warn" }, "deprecated") : "",
        api.stream ? element("span", { class: "chip" }, STREAMS[api.stream] || "streams") : "",
        api.tags.map((tag) => element("span", { class: "chip" }, tag))) : "",
      paragraph(api.description)),
    element("div", { class: "api" },
      element("div", { class: "reference" },
        schemaSection("Input", "input", api.input, api.takes),
        schemaSection(api.stream ? "Output, each chunk" : "Output", "output", api.output, api.offers), problemList(api)),
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
  if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && !byId("search").hidden) {
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
  const labels = Object.entries(isObject(info["x-labels"]) ? info["x-labels"] : {});
  byId("labels").replaceChildren(...labels.map(([name, value]) => element("li", { class: "chip" }, `${name}: ${value}`)));
  byId("labels").hidden = !labels.length;
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
