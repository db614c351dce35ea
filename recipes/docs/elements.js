// Elements of the page. Texts reach it as text nodes only, never as markup.

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
