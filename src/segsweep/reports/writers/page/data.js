"use strict";
// The report's dict, and what several parts of the page ask of it.

let report = null;

/** Unpack the dict that the page carries. */
async function unpack() {
  const text = atob(document.getElementById("data").textContent);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  report = await new Response(stream).json();
  report.byRow = new Map(report.rows.map((row) => [row.id, row]));
}

function embedded(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/** A configuration in words: its values on the axes. */
function labelOf(row) {
  if (row.label) return row.label;
  const words = Object.values(row.axes).map(shown).filter((word) => word !== MISSING);
  return words.join(" ") || row.runs[0] || row.id;
}

/** A run's options: its row's, and those in which the row's runs differ. */
function settingsOf(run) {
  return { ...report.byRow.get(run.row)?.settings, ...run.settings };
}

/** A run's protocol card under one strategy: its protocol's, and what the run adds. */
function cardOf(run, strategy) {
  const protocol = report.protocols.find((one) => one.id === report.byRow.get(run.row)?.protocol);
  return flat({ ...protocol?.card, ...run.card[strategy] });
}

/** Nested objects as one, by dotted names. */
function flat(value, prefix = "") {
  return Object.fromEntries(Object.entries(value).flatMap(([name, one]) =>
    isPlain(one) ? Object.entries(flat(one, `${prefix}${name}.`)) : [[prefix + name, one]]));
}

function isPlain(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function isTested(row) {
  return Object.keys(row.cells).length > 0;
}

/** Options that are no axis. */
function otherOptions(rows) {
  const names = new Set();
  for (const row of rows) for (const name in row.settings) if (!(name in row.axes)) names.add(name);
  return [...names].sort();
}

/** A configuration's seeds as rows of their own. */
function seedRows(row) {
  return row.runs.map((id) => {
    const run = report.runs[id] ?? {};
    const cells = {};
    for (const [strategy, cell] of Object.entries(row.cells)) {
      const seed = cell.seeds.find((one) => one.run === id);
      if (seed) cells[strategy] = { miou: { value: seed.value }, seeds: [seed], single: true };
    }
    const todo = run.state === "done" ? null : (run.command ?? row.command);
    const axes = { ...row.axes, seed: run.seed };
    const own = { id: `${row.id}/${id}`, of: row.id, axes, runs: [id], cells, state: run.state ?? row.state };
    return { ...row, ...own, why: run.error ?? (todo ? row.why : null), command: todo };
  });
}

/** What a card says of a run while it is pointed at. */
function runCard(id, value) {
  const run = report.runs[id];
  if (!run) return [el("b", {}, id)];
  const row = report.byRow.get(run.row);
  return [
    el("b", {}, row ? labelOf(row) : id),
    el("p", {}, [`run ${id}`, `seed ${run.seed}`, value === undefined ? "" : `mIoU ${percent(value)}`, run.state]
      .filter(Boolean).join(" · ")),
    el("p", {}, `${duration(run.seconds)}${run.starts > 1 ? ` over ${run.starts} starts` : ""} · open its page`),
  ];
}

/** A link to a run's page. */
function runLink(id, text, value) {
  return hint(el("a", { href: `#run=${encodeURIComponent(id)}`, class: "run" }, text), () => runCard(id, value));
}
