"use strict";
// Columns of the results: what they are called, how they sort, what their cells show.

const FIGURES = { pixel_accuracy: "pixel accuracy", fwiou: "fw IoU", boundary_iou: "boundary IoU" };

/** All columns for some rows; `shown` says which stand there at first: axes, costs that are known, mIoU. */
function columnsOf(rows, strategies) {
  const has = (name) => rows.some((row) => row[name] !== null && row[name] !== undefined);
  const costs = [
    cost("params", "params (M)", millions, has("params")),
    cost("macs", "MACs (G)", billions, has("macs")),
    cost("latency_ms", "latency (ms)", (value) => value?.toFixed(1) ?? MISSING, has("latency_ms")),
  ];
  const figures = strategies.flatMap((strategy) => strategyColumns(rows, strategy));
  const isNarrow = matchMedia("(max-width: 50rem)").matches;
  return [
    ...axisColumns(rows),
    ...(isNarrow ? [...figures, ...costs] : [...costs, ...figures]),
    ...(rows.every((row) => row.state === "done") ? [] : [stateColumn()]),
    ...otherOptions(rows).map((name) => option(name, (row) => row.settings?.[name], false)),
  ].filter((column) => column.there !== false);
}

function axisColumns(rows) {
  const axes = [...new Set([...report.columns, ...rows.flatMap((row) => Object.keys(row.axes))])];
  return axes
    .filter((name) => rows.some((row) => name in row.axes))
    .map((name) => option(name, (row) => row.axes[name], true));
}

function option(name, value, differs) {
  return {
    key: name, title: name, kind: differs ? "Options that differ" : "All other options", shown: differs,
    value: (row) => sortable(value(row)), cell: (row) => shown(value(row)),
  };
}

/** Numbers sort as numbers, also if they are written as text. */
function sortable(value) {
  return value !== "" && value !== null && !Number.isNaN(Number(value)) ? Number(value) : shown(value);
}

function cost(key, title, text, there) {
  return {
    key, title, kind: "Cost", number: true, shown: true, there,
    value: (row) => row[key] ?? null, cell: (row) => text(row[key]),
  };
}

function strategyColumns(rows, strategy) {
  const at = (row) => row.cells[strategy];
  const own = { kind: "Figures", number: true, shown: true };
  const compared = rows.some((row) => at(row)?.difference);
  return [
    { ...own, key: `${strategy}.miou`, title: "mIoU", under: strategy,
      value: (row) => at(row)?.miou.value ?? null, cell: (row) => at(row) && miouCell(at(row)) },
    { ...own, key: `${strategy}.difference`, title: "Δ baseline", under: strategy, there: compared,
      value: (row) => at(row)?.difference?.value ?? null,
      cell: (row) => (isBaseline(row) ? el("span", { class: "soft" }, "baseline") : differenceCell(at(row)?.difference)) },
    ...Object.entries(FIGURES).map(([name, title]) => ({
      ...own, key: `${strategy}.${name}`, title, under: strategy, shown: false,
      value: (row) => at(row)?.[name]?.value ?? null,
      cell: (row) => at(row)?.[name] && estimateCell(at(row)[name]),
    })),
    { ...own, key: `${strategy}.std`, title: "std of seeds", under: strategy, shown: false,
      value: (row) => at(row)?.std ?? null, cell: (row) => percent(at(row)?.std) },
    { ...own, key: `${strategy}.groups`, title: "by groups", under: strategy, shown: false,
      there: rows.some((row) => at(row)?.groups), value: (row) => at(row)?.groups?.low ?? null,
      cell: (row) => at(row)?.groups && [interval(at(row).groups), el("span", { class: "between" }, at(row).groups.unit)] },
  ];
}

/** Whether its table's differences are to this row. */
function isBaseline(row) {
  const protocol = report.protocols.find((one) => one.id === row.protocol);
  return row.id === (protocol?.baseline ?? report.baseline);
}

function estimateCell(estimate) {
  return [el("span", { class: "value" }, percent(estimate.value)), el("span", { class: "between" }, interval(estimate))];
}

/** mIoU with its interval, its letters, and below it each seed, which leads to its run. */
function miouCell(cell) {
  const value = cell.single
    ? runLink(cell.seeds[0].run, percent(cell.miou.value), cell.miou.value)
    : el(cell.bold ? "strong" : "span", { class: "value" }, percent(cell.miou.value));
  if (cell.single) return value;
  const letters = el("sup", { title: "Rows that share a letter are not told apart" }, cell.letters ?? "");
  const seeds = cell.seeds.map((seed) => runLink(seed.run, percent(seed.value, 1), seed.value));
  const between = el("span", { class: "between", tabindex: 0 }, interval(cell.miou));
  return [value, letters, hint(between, () => intervalCard(cell)), el("span", { class: "seeds" }, el("span", { class: "unseen" }, "seeds: "), seeds)];
}

/** What an interval is over, and what it does not cover. */
function intervalCard(cell) {
  return [
    el("b", {}, `${interval(cell.miou, 2)} over images`),
    cell.groups && el("p", {}, `${interval(cell.groups, 2)} over ${cell.groups.unit}`),
    cell.std !== null && el("p", {}, `standard deviation over seeds: ${percent(cell.std)}`),
    cell.complete < 1 && el("p", {}, `every class in ${percent(cell.complete, 0)} % of the resamples only`),
  ].filter(Boolean);
}

function differenceCell(difference) {
  if (!difference) return "";
  const p = difference.p_holm ?? difference.p;
  const card = () => [
    el("b", {}, `${points(difference.value)} points, ${interval(difference, 2)} for this comparison alone`),
    difference.seeds > 0 && el("p", {}, `over the seeds that both have: ${difference.seeds}`),
    p !== null && p !== undefined && el("p", {}, `${pValue(p)} over images, after Holm for all comparisons of the table`),
    difference.smallest && el("p", {}, `this test set tells apart ${percent(difference.smallest)} points at best`),
    difference.verdict && el("p", {}, difference.verdict),
  ].filter(Boolean);
  return [
    hint(el("span", { class: "value", tabindex: 0 }, points(difference.value)), card),
    el("span", { class: "between" }, interval(difference)),
    p !== null && p !== undefined && el("span", { class: "seeds soft" }, pValue(p)),
  ];
}

function stateColumn() {
  return {
    key: "state", title: "state", kind: "State", shown: true, value: (row) => row.state, cell: (row) => badge(row.state),
  };
}
