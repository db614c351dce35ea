// Bytes that a person can look at, listen to, or keep.

const MOST_PICTURES = 24;

const size = (bytes) => {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
};

/** Whether a media type lies in a range such as `image/*`. */
const inRange = (type, range) => range === "*/*" || type === range || (range.endsWith("/*") && type.startsWith(range.slice(0, -1)));

/** Gives back the memory of what an element shows. */
function release(node) {
  for (const each of node.querySelectorAll("[src^='blob:'], [href^='blob:']")) URL.revokeObjectURL(each.src || each.href);
}

function replace(node, ...children) {
  release(node);
  node.replaceChildren(...children);
}

/** A picture, a player, or nothing, for bytes of a media type. */
function shown(blob, type, name) {
  const make = { image: pictureOf, audio: playerOf, video: playerOf }[type.split("/")[0]];
  return make ? [make(blob, type, name)] : [];
}

function pictureOf(blob, type, name) {
  const caption = element("figcaption", { class: "muted" }, size(blob.size));
  const image = element("img", { alt: name, src: URL.createObjectURL(blob),
    onload: () => { caption.textContent = `${image.naturalWidth} × ${image.naturalHeight} pixels · ${size(blob.size)}`; },
    onerror: () => { image.replaceWith(element("p", { class: "muted" }, `This browser cannot show ${type}.`)); } });
  return element("figure", {}, image, caption);
}

function playerOf(blob, type, name) {
  const tag = type.startsWith("video/") ? "video" : "audio";
  return element("figure", {}, element(tag, { controls: true, src: URL.createObjectURL(blob), "aria-label": name }),
    element("figcaption", { class: "muted" }, size(blob.size)));
}

const ENDINGS = { "application/x-npy": "npy", "image/jpeg": "jpg", "image/svg+xml": "svg", "audio/mpeg": "mp3", "text/plain": "txt",
  "application/octet-stream": "bin", "*/*": "bin", "image/*": "png", "audio/*": "wav" };

const ending = (type) => ENDINGS[type] || type.split("/")[1].replace(/^x-|\*|[^a-z0-9].*$/g, "") || "bin";

const keepLink = (blob, name) =>
  element("a", { href: URL.createObjectURL(blob), download: name, class: "keep" }, `Download ${name}`);

const SIGNATURES = [[/^\x89PNG/, "image/png"], [/^\xff\xd8\xff/, "image/jpeg"], [/^GIF8/, "image/gif"], [/^RIFF[^]{4}WEBP/, "image/webp"],
  [/^BM/, "image/bmp"], [/^(II\*\0|MM\0\*)/, "image/tiff"], [/^RIFF[^]{4}WAVE/, "audio/wav"], [/^(ID3|\xff[\xfb\xf3\xf2])/, "audio/mpeg"],
  [/^fLaC/, "audio/flac"], [/^OggS/, "audio/ogg"], [/^[^]{4}ftyp/, "video/mp4"], [/^%PDF/, "application/pdf"]];

/** Bytes of a media type, or of the one in a range that they begin like. */
function fromBase64(text, range) {
  const bytes = atob(text);
  const type = range.includes("*") || !range ? SIGNATURES.find(([begin, each]) => begin.test(bytes) && inRange(each, range || "*/*"))?.[1] : range;
  return new Blob([Uint8Array.from(bytes, (each) => each.charCodeAt(0))], { type: type || "" });
}

/** The bytes in a JSON value, found by its schema: each with a JSON Pointer and a media type. */
function bytesIn(value, schema, pointer = "", found = []) {
  const { schema: own } = settled(schema);
  if (found.length >= MOST_PICTURES) return found;
  if (own.contentEncoding === "base64" && typeof value === "string") {
    try {
      const blob = fromBase64(value, own.contentMediaType || "");
      found.push({ pointer, blob, type: blob.type || own.contentMediaType || "*/*" });
    } catch { /* no base64: it is shown as the text that it is */ }
  } else if (Array.isArray(value) && !own.dtype) {
    value.slice(0, 200).forEach((each, at) => bytesIn(each, own.prefixItems?.[at] ?? own.items ?? true, `${pointer}/${at}`, found));
  } else if (isObject(value)) {
    for (const [name, each] of Object.entries(value)) {
      const inner = Object.hasOwn(own.properties || {}, name) ? own.properties[name] : own.additionalProperties;
      if (isObject(inner)) bytesIn(each, inner, `${pointer}/${name}`, found);
    }
  }
  return found;
}
