"use strict";
// Charts: the declarative specifications of charts/*.json, filled with data and drawn by Vega-Lite.

const PALETTES = { // safe for colour-blind readers (after Okabe and Ito), one for each ground
  light: ["#0072b2", "#d55e00", "#009e73", "#aa4f8a", "#b58900", "#4a5568"],
  dark: ["#5ab4f0", "#f0894a", "#3ecf9f", "#e39ac7", "#e8c547", "#a9b4c4"],
};
const MOST_CHOSEN = PALETTES.light.length;
const specifications = embedded("charts");
const drawn = new Set();

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function isDark() {
  const said = document.documentElement.dataset.theme;
  return said ? said === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function colourAt(at) {
  return at < 0 ? style("--quiet") : PALETTES[isDark() ? "dark" : "light"][at % MOST_CHOSEN];
}

/** Fonts and colours of the page for Vega's own parts. */
function look() {
  const [ink, soft, line, paper] = ["--ink", "--soft", "--line", "--paper"].map(style);
  const font = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
  return {
    background: null,
    font,
    view: { stroke: null },
    axis: {
      labelColor: soft, titleColor: soft, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 12,
      titleFontSize: 12, titleFontWeight: 500, labelPadding: 6, titlePadding: 8,
    },
    text: { color: ink, font },
    circle: { stroke: paper },
    rule: { color: soft },
    range: { heatmap: [paper, style("--heat")] },
  };
}

/**
 * A figure with a caption, drawn when it comes into view and again when the theme changes.
 * `fill(specification)` puts data into a copy of the specification; it returns how a screen reader is told of it.
 */
function figure(name, title, note, fill, table = null) {
  const stage = el("div", { class: `chart ${name}` });
  const parts = el(
    "figure",
    {},
    el("figcaption", {}, el("h3", {}, title), note && el("p", { class: "notes" }, note)),
    stage,
    table && numbers(table),
  );
  const chart = { stage, name, fill, seen: false };
  drawn.add(chart);
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    chart.seen = true;
    draw(chart);
  }, { rootMargin: "300px" }).observe(stage);
  return parts;
}

async function draw(chart) {
  const { stage, name, fill } = chart;
  const specification = structuredClone(specifications[name]);
  specification.description = fill(specification);
  chart.result?.finalize();
  chart.result = null;
  if (!specification.datasets.rows.length) {
    stage.replaceChildren(el("p", { class: "notes" }, "No tested configuration passes the filter."));
    return;
  }
  if (specification.layer) specification.layer = specification.layer.filter((layer) => hasData(layer, specification.datasets));
  const tooltip = { theme: isDark() ? "dark" : "light" };
  const options = { actions: false, renderer: "svg", config: look(), tooltip };
  chart.result = await vegaEmbed(stage, specification, options);
  chart.result.view.addEventListener("click", (event, item) => {
    const run = item?.datum?.run;
    if (run && report.runs[run]) location.hash = `run=${encodeURIComponent(run)}`;
  });
}

/** Whether a layer has anything to draw: single seeds have no points of their own, runs without counts no intervals. */
function hasData(layer, datasets) {
  const rows = datasets[layer.data?.name ?? "rows"];
  const fields = ["x", "y"].map((channel) => layer.encoding[channel]?.field).filter(Boolean);
  return fields.every((field) => rows.some((row) => row[field] !== null)) && rows.length > 0;
}

/** Draw again what was seen and is still on the page; forget what is not. */
function redraw() {
  for (const chart of drawn) {
    if (!chart.stage.isConnected) {
      chart.result?.finalize();
      drawn.delete(chart);
    } else if (chart.seen) draw(chart);
  }
}

/** The chart's numbers as a table, for who cannot see it: made when it is opened. */
function numbers(lines) {
  const details = el("details", { class: "numbers" }, el("summary", {}, "Numbers of this chart"));
  details.addEventListener("toggle", () => {
    if (!details.open || details.querySelector("table")) return;
    const [head, ...rows] = lines();
    details.append(el("div", { class: "scroll", tabindex: 0 }, plainTable(head, rows)));
  });
  return details;
}

function plainTable(head, rows, caption = null) {
  return el(
    "table",
    {},
    caption && el("caption", {}, caption),
    el("thead", {}, el("tr", {}, head.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows.map((row) =>
      el("tr", {}, row.map((cell, at) =>
        at ? el("td", { class: /^[+−-]?\d/.test(shown(cell)) && "number" }, shown(cell))
          : el("th", { scope: "row" }, shown(cell)))))),
  );
}
