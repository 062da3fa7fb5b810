"use strict";
// Images beside truth and predictions. Pictures are unpacked when a line comes into view.

let pictures = null;

function gallery() {
  if (!report.gallery.length) return null;
  const lines = report.gallery.map((line, at) => galleryLine(line, at));
  return el("section", { class: "gallery" }, el("h2", {}, "Images"), classColours(), lines);
}

function classColours() {
  const { classes, palette } = report.protocols[0] ?? { classes: [], palette: [] };
  const named = classes.filter((name, at) => palette[at]);
  return named.length > 0 && el("p", { class: "legend colours" }, named.map((name, at) =>
    el("span", {}, el("i", { style: `background:rgb(${palette[at].map(Number).join(",")})` }), name)));
}

function galleryLine(line, at) {
  const tiles = el("div", { class: "tiles", tabindex: 0, role: "group", "aria-label": line.image });
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    pictures ??= embedded("pictures");
    tiles.append(...line.tiles.map((tile, n) => galleryTile(line, tile, pictures[at][n])));
  }, { rootMargin: "400px" }).observe(tiles);
  const why = line.why && el("span", { class: "soft" }, ` ${line.why}`);
  return el("article", {}, el("h3", {}, line.image, why), tiles);
}

function galleryTile(line, tile, source) {
  const picture = el("img", { src: source, alt: `${tile.title} of ${line.image}`, decoding: "async" });
  const open = el("button", { type: "button", class: "tile", "aria-label": `Enlarge ${tile.title} of ${line.image}` }, picture);
  open.addEventListener("click", () => enlarge(picture, `${line.image}: ${tile.title}`));
  return el("figure", {}, open, el("figcaption", {}, tile.title));
}

function enlarge(picture, title) {
  const close = el("button", { type: "button", onclick: () => dialog.close() }, "Close");
  const dialog = el("dialog", { "aria-label": title }, picture.cloneNode(), el("p", {}, title, " ", close));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
