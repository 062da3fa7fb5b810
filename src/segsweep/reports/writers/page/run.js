"use strict";
// The page of one run: what it measured, and all that it takes to check or repeat it.

function runPage(id) {
  const run = report.runs[id];
  if (!run) return [back(), el("h1", {}, "No such run"), el("p", {}, `${id} is not in this report.`)];
  const row = report.byRow.get(run.row);
  return [
    back(),
    el("h1", {}, row ? labelOf(row) : id, " ", badge(run.state)),
    el("p", { class: "meta" }, `run ${id} · seed ${shown(run.seed)}`, siblings(id, row)),
    run.error && el("p", { class: "warning" }, run.error),
    run.command && el("section", {}, el("h2", {}, "Repeat it"), command(run.command)),
    row && results(id, row),
    origin(run),
    configuration(run),
    cards(run),
    runCurves(id, run),
  ].filter(Boolean);
}

function back() {
  return el("p", {}, el("a", { href: "#", class: "back" }, "← All results"));
}

function siblings(id, row) {
  const others = (row?.runs ?? []).filter((other) => other !== id);
  if (!others.length) return null;
  return [" · other seeds: ", others.flatMap((other) => [runLink(other, shown(report.runs[other]?.seed)), " "])];
}

function results(id, row) {
  const groups = Object.values(row.cells).some((cell) => cell.groups);
  const lines = Object.entries(row.cells).flatMap(([strategy, cell]) => {
    const seed = cell.seeds.find((one) => one.run === id);
    return seed ? [[strategy, percent(seed.value), `${percent(cell.miou.value)} (${interval(cell.miou)})`,
      ...(groups ? [cell.groups ? `${interval(cell.groups)}, ${cell.groups.unit}` : MISSING] : []),
      cell.difference ? `${points(cell.difference.value)} (${interval(cell.difference)})` : MISSING,
      cell.difference?.verdict ?? MISSING]] : [];
  });
  if (!lines.length) return null;
  const head = ["strategy", "mIoU of this run (%)", "all seeds (95 % interval)", ...(groups ? ["interval by groups"] : []), "difference to the baseline", "verdict over seeds"];
  return el("section", {}, el("h2", {}, "Results"), el("div", { class: "scroll", tabindex: 0 }, plainTable(head, lines)));
}

function origin(run) {
  const time = run.seconds === null || run.seconds === undefined ? null
    : `${duration(run.seconds)}${run.starts > 1 ? ` over ${run.starts} starts` : ""}`;
  const { packages, ...machine } = run.environment ?? {};
  const known = (object) => Object.entries(flat(object ?? {})).filter(([, value]) => value !== null && value !== "");
  const origin = known({ "training time": time, commit: run.commit, ...machine });
  const block = (title, entries) => entries.length > 0 && el("div", {}, el("h2", {}, title), facts(entries));
  return el("section", { class: "pair" }, block("Where it ran", origin),
    el("div", {}, block("Data, by content", known(run.data)), block("Packages", known(packages))));
}

function configuration(run) {
  const settings = settingsOf(run);
  const names = new Set(Object.keys(run.differs ?? {}));
  const all = Object.entries(settings).sort(([a], [b]) => names.has(b) - names.has(a) || a.localeCompare(b));
  return el("section", {},
    el("h2", {}, "Configuration"),
    names.size > 0 && [el("h3", {}, "Unlike its neighbours"), facts(Object.entries(run.differs))],
    all.length > 0 && el("details", { class: "more" }, el("summary", {}, `All ${all.length} options`), facts(all, names)));
}

/** Protocol cards side by side. */
function cards(run) {
  const strategies = report.strategies.filter((name) => run.card?.[name]);
  if (!strategies.length) return null;
  const found = strategies.map((strategy) => cardOf(run, strategy));
  const rows = [...new Set(found.flatMap(Object.keys))].map((name) => [name, ...found.map((card) => shown(card[name]))]);
  const table = plainTable(["", ...strategies], rows);
  return el("section", {}, el("h2", {}, "Protocol cards"), el("div", { class: "scroll wrap", tabindex: 0 }, table));
}

function runCurves(id, run) {
  const row = { id: run.row, axes: report.byRow.get(run.row)?.axes ?? {}, runs: [id] };
  const alone = { chosenRows: () => [row], order: () => [run.row] };
  const parts = [
    curves(alone, "val_miou", "Validation mIoU", "mIoU (%)", 100),
    curves(alone, "loss", "Training loss", "loss", 1),
  ].filter(Boolean);
  return parts.length ? el("section", {}, el("h2", {}, "Learning curves"), el("div", { class: "pair" }, parts)) : null;
}
