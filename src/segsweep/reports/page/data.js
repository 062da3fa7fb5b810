"use strict";
// The report's dict, and what several parts of the page ask of it.

let report = null;

/** Unpack the dict that the page carries. */
async function unpack() {
  const text = atob(document.getElementById("data").textContent);
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  report = await new Response(stream).json();
  report.byRow = new Map(report.rows.map((row) => [row.id, row]));
}

function embedded(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/** A configuration in words: its values on the axes. */
function labelOf(row) {
  const words = Object.values(row.axes).map(shown).filter((word) => word !== MISSING);
  return words.join(" ") || row.runs[0] || row.id;
}

function isTested(row) {
  return Object.keys(row.cells).length > 0;
}

/** Options that differ between the rows and are no axis. */
function otherOptions(rows) {
  const values = new Map();
  for (const row of rows)
    for (const [name, value] of Object.entries(row.settings ?? {}))
      if (!(name in row.axes)) values.set(name, (values.get(name) ?? new Set()).add(shown(value)));
  return [...values.keys()].sort();
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
    const todo = run.state === "done" ? null : (row.command ?? run.command);
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
