// Answers that come in chunks: taken apart as they come, and shown.

const MOST_CHUNKS = 500;

/** Lines of a text that comes in pieces; they end in LF, CR or CRLF. */
function lineReader(take) {
  let rest = "";
  return {
    feed(text) {
      rest += text;
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      lines.forEach(take);
    },
    end() {
      if (rest) take(rest.replace(/\r$/, ""));
      rest = "";
    },
  };
}

/** Server-sent events. */
function eventReader(view) {
  let data = [];
  let name = "";
  const line = (text) => {
    if (text === "") return dispatch();
    const [, key, value] = /^([^:]*):? ?([^]*)$/.exec(text);
    if (key === "data") data.push(value);
    if (key === "event") name = value;
    return undefined;
  };
  const dispatch = () => {
    if (name === "end") view.ended();
    else if (name === "error") view.failed(data.join("\n"));
    else if (data.length) view.chunk(data.join("\n"));
    data = [];
    name = "";
  };
  const lines = lineReader(line);
  return { feed: lines.feed, end: () => view.brokenOff("the connection closed before the end") };
}

function isProblem(text) {
  const error = fault(text) ? undefined : JSON.parse(text)?.error;
  return isObject(error) && typeof error.code === "string" && Number.isInteger(error.status);
}

function ndjsonReader(view) {
  const lines = lineReader((text) => {
    if (isProblem(text)) view.failed(JSON.stringify(JSON.parse(text).error));
    else if (text.trim()) view.chunk(text);
  });
  return { feed: lines.feed, end: () => { lines.end(); view.ended(); } };
}

const READERS = { "text/event-stream": eventReader, "application/x-ndjson": ndjsonReader };

/** Reads a streamed answer to its end. Throws AbortError when it was stopped. */
async function readStream(response, type, view) {
  const reader = (READERS[type] || rawReader(type))(view);
  const bytes = response.body.getReader();
  const decoder = new TextDecoder();
  try {
    for (let piece = await bytes.read(); !piece.done; piece = await bytes.read()) {
      view.received(piece.value.length);
      reader.feed(decoder.decode(piece.value, { stream: true }), piece.value);
      view.drawn();
    }
    reader.end();
  } catch (error) {
    if (error.name === "AbortError") view.stopped();
    else view.brokenOff(error.message);
  }
}

const rawReader = (type) => (view) => (type.startsWith("text/")
  ? { feed: (text) => view.words(text), end: () => view.ended() }
  : { feed: (_, bytes) => view.piece(bytes), end: () => view.ended() });

/** The words of a chunk that is a text, or an object of one text. */
function wordsOf(value) {
  const [only, ...others] = isObject(value) ? Object.values(value) : [value];
  return others.length || typeof only !== "string" ? undefined : only;
}

/** What a stream looks like, and what it is told while it comes. */
function streamView(type, editor) {
  const began = performance.now();
  const said = element("p", { class: "row", id: "stream-state" });
  const text = element("pre", { class: "well stream", id: "stream-text", tabindex: "0", role: "region", "aria-label": "Text so far", hidden: true });
  const list = element("ol", { id: "chunks", class: "well chunks", tabindex: "0", "aria-label": "Chunks" });
  const all = element("details", { hidden: true }, element("summary", {}, "Chunk by chunk"), list);
  const rest = element("div", {});
  const pieces = [];
  let [count, bytes, over] = [0, 0, false];

  const state = (words, look = "muted") => {
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    said.replaceChildren(element("span", { class: look }, words), element("span", { class: "muted" },
      `${count} ${count === 1 ? "chunk" : "chunks"} · ${seconds} s · ${size(bytes)}`));
  };
  const finish = (words, look, ...more) => {
    if (over) return;
    over = true;
    state(words, look);
    if (pieces.length) rest.append(...shown(new Blob(pieces), type, "The answer"), keepLink(new Blob(pieces), `answer.${ending(type)}`));
    rest.append(...more);
    say(`${words} ${count} chunks.`);
  };
  const words = (piece) => {
    text.hidden = false;
    follow(text, () => { if (text.textContent.length < LONGEST_SHOWN) text.append(piece); });
  };
  const row = (json) => {
    all.hidden = false;
    follow(list, () => {
      list.append(element("li", { value: count }, element("code", {}, coloured(json.slice(0, 4000)))));
      if (list.childElementCount > MOST_CHUNKS) list.firstChild.remove();
    });
  };
  state("Receiving…");
  return {
    node: element("div", { class: "streamed" }, said, text, all, rest),
    received(length) { bytes += length; },
    drawn() { if (!over) state("Receiving…"); },
    chunk(json) {
      count += 1;
      const piece = fault(json) ? undefined : wordsOf(JSON.parse(json));
      if (piece !== undefined) words(piece);
      else all.open = true;
      row(json);
    },
    words(piece) { count += 1; words(piece); },
    piece(data) { count += 1; pieces.push(data); },
    ended: () => finish("Complete.", "status good"),
    stopped: () => finish("Stopped.", "status"),
    brokenOff: (why) => finish(`Broken off: ${why}.`, "status bad"),
    failed: (problem) => finish("Failed on the way.", "status bad", ...problemView({ text: problem }, editor)),
  };
}

/** Changes an element, and keeps showing its end if that is what it showed. */
function follow(node, change) {
  const atEnd = node.scrollHeight - node.scrollTop - node.clientHeight < 40;
  change();
  if (atEnd) node.scrollTop = node.scrollHeight;
}
