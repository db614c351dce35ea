// JSON as text: whether it is, indented, coloured, and where in it a JSON Pointer leads.

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
