"use strict";
// Elements and numbers. What a report says enters the page as text, never as markup.

/** An element. Attributes that start with "on" are listeners; null, undefined and false are left out. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const MISSING = "–";

function fixed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) !== 0 ? "−" : "") + text;
}

/** A fraction as a percentage without its sign. */
function percent(share, digits = 2) {
  return share === null || share === undefined ? MISSING : fixed(100 * share, digits);
}

/** A difference of fractions in points, with its sign. */
function points(share, digits = 2) {
  const text = percent(share, digits);
  return share > 0 && Number(text) !== 0 ? `+${text}` : text;
}

function interval(estimate, digits = 1) {
  if (estimate.low === null || estimate.low === undefined) return "";
  const ends = [percent(estimate.low, digits), percent(estimate.high, digits)];
  return ends.join(ends.some((end) => end.startsWith("−")) ? " to " : "–");
}

function millions(value) {
  return value === null || value === undefined ? MISSING : (value / 1e6).toFixed(2);
}

function billions(value) {
  return value === null || value === undefined ? MISSING : (value / 1e9).toFixed(2);
}

function pValue(p) {
  return p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(3)}`;
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return MISSING;
  const minutes = Math.round(seconds / 60);
  if (minutes < 2) return `${Math.round(seconds)} s`;
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Any plain value as text: lists and objects as JSON. */
function shown(value) {
  if (value === null || value === undefined) return MISSING;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Tell a screen reader. */
function say(text) {
  document.getElementById("said").textContent = text;
}

/** A command in one line with a button that copies it. */
function command(text) {
  const button = el("button", { type: "button", class: "copy", "aria-label": `Copy: ${text}` }, "Copy");
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    await copy(text);
    button.textContent = "Copied";
    say("Copied");
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  return el("span", { class: "command" }, el("code", { tabindex: 0, title: text }, text), button);
}

/** Browsers lend the clipboard to pages from disk only through a selection. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el("textarea", { class: "unseen" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** A mark for how far a configuration or a run is: a word, not only a colour. */
function badge(state) {
  const kinds = { done: "good", failed: "bad", interrupted: "warn", running: "warn" };
  const kind = kinds[state] ?? (/^\d/.test(state) ? "warn" : "idle");
  return el("span", { class: `badge ${kind}` }, state);
}

/** Names and values as a list of two columns. */
function facts(entries, marked = new Set()) {
  return el(
    "dl",
    { class: "facts" },
    entries.map(([name, value]) => [
      el("dt", { class: marked.has(name) && "marked" }, name),
      el("dd", {}, value instanceof Node ? value : shown(value)),
    ]),
  );
}

/** Buttons of which one is pressed. */
function choice(label, options, pressed, choose) {
  const buttons = options.map(([value, text]) =>
    el("button", { type: "button", "aria-pressed": String(value === pressed), value }, text),
  );
  for (const button of buttons)
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      choose(button.value);
    });
  return el("span", { class: "choice", role: "group", "aria-label": label }, buttons);
}

const hints = new WeakMap();

/** Show a card beside an element while it is pointed at or has the focus. */
function hint(target, content) {
  target.dataset.hint = "";
  hints.set(target, content);
  return target;
}

function showHint(event) {
  const target = event.target.closest?.("[data-hint]");
  const box = document.getElementById("hint");
  if (!target || !hints.has(target)) return;
  box.replaceChildren(...hints.get(target)());
  box.hidden = false;
  const at = target.getBoundingClientRect();
  const left = Math.max(8, Math.min(at.left, innerWidth - box.offsetWidth - 8));
  const below = at.bottom + box.offsetHeight + 12 < innerHeight;
  box.style.left = `${left}px`;
  box.style.top = `${below ? at.bottom + 6 : at.top - box.offsetHeight - 6}px`;
  target.setAttribute("aria-describedby", "hint");
}

function hideHint() {
  document.getElementById("hint").hidden = true;
}

for (const name of ["mouseover", "focusin"]) document.addEventListener(name, showHint);
for (const name of ["mouseout", "focusout", "click"]) document.addEventListener(name, hideHint);
