"use strict";
// What each chart of a section shows: its data, and the sentence that a screen reader is told.

const MOST_IN_FOREST = 40;
const COSTS = { params: ["parameters (M)", 1e6], macs: ["MACs (G)", 1e9], latency_ms: ["latency (ms)", 1] };

/** An estimate in percent; runs without counts have no interval. */
function inPercent(estimate) {
  const scaled = (share) => (share === null || share === undefined ? null : 100 * share);
  return { value: scaled(estimate.value), low: scaled(estimate.low), high: scaled(estimate.high) };
}

/** A row's place among the chosen ones, its colour and name: what every chart needs of it. */
function identity(section, row) {
  const at = section.order().indexOf(row.id);
  const run = row.runs.length === 1 ? { run: row.runs[0] } : {};
  return { ...run, row: row.id, label: labelOf(row), at, colour: colourAt(at) };
}

function seedPoints(section, row) {
  return row.cells[section.strategy].seeds.map((seed) =>
    ({ ...identity(section, row), run: seed.run, seed: seed.seed, value: 100 * seed.value }));
}

/** Rows in view with their intervals, and each seed as a point. */
function forest(section) {
  const lines = () => section.tested(section.view);
  const note = "Line: 95 % interval over images; tick: mean over seeds; points: single seeds, which lead to their runs.";
  return figure("forest", `mIoU, ${section.strategy}`, note, (specification) => {
    const rows = lines().slice(0, MOST_IN_FOREST);
    specification.datasets.rows = rows.map((row) =>
      ({ ...identity(section, row), ...inPercent(row.cells[section.strategy].miou) }));
    specification.datasets.seeds = rows.flatMap((row) => seedPoints(section, row));
    specification.encoding.y.sort = rows.map(labelOf);
    specification.height = rows.length * Math.max(26, Math.min(60, 330 / rows.length)); // as its neighbour, if few
    const left = lines().length - rows.length;
    return `mIoU of ${rows.length} configurations with intervals and seeds${left ? `; ${left} more pass the filter` : ""}`;
  });
}

/** Accuracy against a cost, with the configurations that none beats at the same or a smaller one. */
function tradeoff(section) {
  const known = Object.keys(COSTS).filter((name) => section.tested(section.rows).some((row) => row[name] > 0));
  if (!known.length) return null;
  let cost = known[0];
  const fill = (specification) => {
    const [title, unit] = COSTS[cost];
    const rows = section.tested(section.view).filter((row) => row[cost] > 0);
    const point = (row) =>
      ({ ...identity(section, row), ...inPercent(row.cells[section.strategy].miou), cost: row[cost] / unit });
    const several = rows.filter((row) => row.cells[section.strategy].seeds.length > 1); // one is the mean itself
    const seeds = (row) => seedPoints(section, row).map((seed) => ({ ...seed, cost: row[cost] / unit }));
    specification.datasets = { rows: rows.map(point), seeds: several.flatMap(seeds), front: paretoFront(rows.map(point)) };
    const middle = (Math.min(...rows.map((row) => row[cost])) + Math.max(...rows.map((row) => row[cost]))) / 2 / unit;
    for (const point of specification.datasets.front)
      Object.assign(point, { colour: style("--soft"), side: point.cost > middle ? "right" : "left" });
    specification.encoding.x.axis.title = title;
    const names = specification.datasets.front.map((point) => point.label);
    return `mIoU against ${title} of ${rows.length} configurations. Pareto front: ${names.join(", ")}`;
  };
  const note = "Dashed: the Pareto front. Line: 95 % interval over images.";
  const timed = known.includes("latency_ms") && report.timed ? ` Latency: ${report.timed}.` : "";
  const parts = figure("tradeoff", "Accuracy and cost", note + timed, fill);
  const options = known.map((name) => [name, COSTS[name][0]]);
  if (known.length > 1)
    parts.firstChild.append(choice("Cost", options, cost, (name) => {
      cost = name;
      redraw();
    }));
  return parts;
}

/** The points that no other one of at most their cost reaches, from the cheapest on. */
function paretoFront(points) {
  const front = [];
  for (const point of [...points].sort((a, b) => a.cost - b.cost || b.value - a.value))
    if (!front.length || point.value > front.at(-1).value) front.push({ ...point });
  return front;
}

/** Chosen rows' values in groups: per class, by object size. */
function grouped(section, name, field, key, title, note) {
  const rows = () => section.tested(section.chosenRows()).filter((row) => row.cells[section.strategy][field]?.length);
  if (!rows().length) return null;
  const values = () => rows().flatMap((row, at) => row.cells[section.strategy][field].map((one) =>
    ({ ...identity(section, row), at, ink: style("--ink"), [key]: one.name, ...inPercent(one) })));
  const table = () => {
    const groups = rows()[0].cells[section.strategy][field];
    const text = (one) => (one ? `${percent(one.value)} (${interval(one)})` : MISSING);
    return [["", ...rows().map(labelOf)], ...groups.map((group, at) =>
      [group.name, ...rows().map((row) => text(row.cells[section.strategy][field][at]))])];
  };
  return figure(name, title, note, (specification) => {
    specification.datasets.rows = values();
    if (name === "classes") specification.height = values().length * 8 + 8 * rows()[0].cells[section.strategy][field].length;
    return `${title} of ${rows().map(labelOf).join(", ")}`;
  }, table);
}

/** Which class was taken for which, of one of the chosen rows. */
function confusion(section, protocol) {
  const rows = section.tested(section.chosenRows()).filter((row) => row.cells[section.strategy].confusion);
  if (!rows.length || !protocol) return null;
  let row = rows[0];
  const classes = protocol.classes;
  const cells = () => row.cells[section.strategy].confusion.flatMap((shares, t) => shares.map((share, p) =>
    ({ truth: classes[t], predicted: classes[p], share: 100 * share })));
  const table = () => [["truth", ...classes], ...row.cells[section.strategy].confusion.map((shares, at) =>
    [classes[at], ...shares.map((share) => percent(share, 1))])];
  const parts = figure("confusion", "Confusion", "Percent of each true class that was predicted as the column's.",
    (specification) => {
      specification.datasets.rows = cells();
      specification.height = 27 * classes.length;
      const text = specification.layer[1].encoding.color;
      text.condition.test = `datum.share > ${isDark() ? 36 : 48}`; // where the other ink is easier to read
      [text.condition.value, text.value] = [style("--on-accent"), style("--ink")];
      return `Confusion of ${labelOf(row)}: ${classes.length} classes, shares of each true class`;
    }, table);
  const options = rows.map((one) => el("option", { value: one.id }, labelOf(one)));
  const select = el("select", { "aria-label": "Configuration of the confusion matrix", onchange: () => {
    row = rows.find((one) => one.id === select.value);
    redraw();
  } }, options);
  parts.firstChild.append(select);
  return parts;
}

/** Loss or validation mIoU over the steps of the chosen rows' runs. */
function curves(section, field, title, axis, scale) {
  const runs = () => section.chosenRows().flatMap((row) => row.runs.map((id) => [row, id, report.runs[id]]))
    .filter(([, , run]) => run?.curves?.[field]?.length);
  if (!runs().length) return null;
  return figure("curves", title, null, (specification) => {
    specification.datasets.rows = runs().flatMap(([row, id, run]) => run.curves[field].map(([step, value]) =>
      ({ ...identity(section, row), run: id, seed: run.seed, step, value: value === null ? null : scale * value })));
    specification.encoding.y.axis = { title: axis };
    if (field === "val_miou") specification.mark.point = { size: 32 }; // few, at times one
    return `${title} of ${runs().length} runs over their steps`;
  });
}

/** Main effects and interactions of one protocol and strategy, as differences with intervals. */
function effects(title, list) {
  const name = (effect) =>
    `${effect.factor}: ${shown(effect.from)} → ${shown(effect.to)}${effect.with ? ` × ${effect.with}` : ""}`;
  const table = () => [["effect", "points", "interval"], ...list.map((effect) =>
    [name(effect), points(effect.value), interval(effect, 2)])];
  const missing = [...new Set(list.flatMap((effect) => effect.missing ?? []))];
  const note = "Difference of two levels, averaged over the others; line: 95 % interval over images."
    + (missing.length ? ` Not measured: ${missing.map(shown).join("; ")}.` : "");
  return figure("effects", title, note, (specification) => {
    specification.datasets.rows = list.map((effect) => {
      const apart = effect.low > 0 || effect.high < 0;
      return { label: name(effect), ...inPercent(effect), colour: apart ? colourAt(0) : style("--soft") };
    });
    specification.height = 30 * list.length;
    return `${list.length} effects on mIoU in points`;
  }, table);
}
