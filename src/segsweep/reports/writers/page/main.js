"use strict";
// Start of the page, the way between the results and a run, theme and keys.

let found = [];
let from = null;

function summary() {
  const states = new Map();
  for (const run of Object.values(report.runs)) states.set(run.state, (states.get(run.state) ?? 0) + 1);
  const runs = [...states].map(([state, number]) => `${number} ${state}`).join(", ");
  const total = Object.keys(report.runs).length;
  return ` · ${report.rows.length} configurations · ${total} ${total === 1 ? "run" : "runs"}: ${runs}`;
}

function paper() {
  if (!report.paper) return null;
  const { title, heading, columns, rows, notes } = report.paper;
  const table = plainTable(columns, rows.map((row) => columns.map((name) => row[name])), title);
  const said = notes?.length > 0 && el("ul", { class: "notes" }, notes.map((note) => el("li", {}, note)));
  return el("section", { class: "paper" }, el("h2", {}, "Beside the paper"), heading && el("p", { class: "notes" }, heading),
    el("div", { class: "scroll", tabindex: 0 }, table), said);
}

function allEffects() {
  const several = report.protocols.length > 1;
  const figures = report.protocols.flatMap(({ id, text }) => report.strategies.map((strategy) => {
    const own = report.effects.filter((effect) => effect.protocol === id && effect.strategy === strategy);
    return own.length && effects(`Effects, ${strategy}${several ? `, ${text}` : ""}`, own);
  })).filter(Boolean);
  if (!figures.length) return null;
  return el("section", {}, el("h2", {}, "Effects of the options"), el("div", { class: "pair" }, figures));
}

/** Show the run that the address names, or the results. */
function route() {
  const id = new URLSearchParams(location.hash.slice(1)).get("run");
  const page = document.getElementById("run");
  const overview = document.getElementById("overview");
  if (id) {
    if (!overview.hidden) from = { element: document.activeElement, scroll: scrollY };
    page.replaceChildren(...runPage(id));
    document.title = `${id} · ${report.title}`;
  } else {
    page.replaceChildren();
    document.title = report.title;
  }
  hideHint();
  page.hidden = !id;
  overview.hidden = Boolean(id);
  if (id) {
    scrollTo(0, 0);
    page.focus({ preventScroll: true });
  } else if (from) {
    scrollTo(0, from.scroll);
    from.element?.focus({ preventScroll: true });
    from = null;
  }
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  document.getElementById("theme").textContent = theme === "dark" ? "Light" : "Dark";
  for (const section of found) {
    section.table.recolour();
    section.drawCharts();
  }
  redraw();
}

function keys(event) {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
  if (event.key === "Escape") {
    hideHint();
    for (const open of document.querySelectorAll("details.chooser[open]")) {
      open.open = false;
      open.firstChild.focus();
      return;
    }
    if (!document.getElementById("run").hidden && !document.querySelector("dialog")) location.hash = "";
  } else if (event.key === "/" && !typing) {
    event.preventDefault();
    document.querySelector(".filter")?.focus();
  }
}

async function start() {
  await unpack();
  document.getElementById("meta").append(summary());
  found = sections();
  document.getElementById("results").replaceChildren(
    ...[...found.map((section) => section.node), allEffects(), paper(), gallery()].filter(Boolean));
  const theme = document.getElementById("theme");
  theme.textContent = isDark() ? "Light" : "Dark";
  theme.addEventListener("click", () => setTheme(isDark() ? "light" : "dark"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => setTheme(event.matches ? "dark" : "light"));
  addEventListener("hashchange", route);
  addEventListener("keydown", keys);
  route();
  document.documentElement.dataset.ready = "yes";
}

start();
