"use strict";
// Configurations that were measured alike: their table, and the charts of those that are chosen in it.

class Section {
  constructor(protocol, rows, alone) {
    Object.assign(this, { protocol, rows, view: rows });
    this.strategies = report.strategies.filter((name) => rows.some((row) => row.cells[name]));
    this.strategy = this.strategies[0];
    this.chosen = new Set(this.firstChosen());
    this.charts = el("div", { class: "charts" });
    this.overview = el("div", { class: "pair" });
    this.legend = el("p", { class: "legend" });
    const caption = protocol ? protocol.text : "Not tested yet";
    this.table = new ResultsTable(rows, this.strategies, caption, this.chosen,
      (id, wanted) => this.choose(id, wanted), (view) => this.look(view));
    this.node = el("section", {}, this.heading(alone), this.table.node, this.strategies.length ? this.body() : null);
    this.drawOverview();
    this.drawCharts();
  }

  heading(alone) {
    const { protocol } = this;
    const mixed = report.mixed && report.protocols.length > 1;
    if (!protocol) return el("h2", {}, "Not tested yet");
    const named = Object.entries(protocol.groups ?? {}).map(([name, images]) => `${name} (${images})`).join(", ");
    const cells = this.rows.flatMap((row) => Object.values(row.cells));
    const groups = cells.find((cell) => cell.groups)?.groups.unit;
    return [
      el("h2", {}, alone ? "Results" : protocol.text),
      !alone && el("p", { class: "warning" }, "Measured under a protocol of its own: not comparable with the other tables."),
      mixed && el("p", { class: "warning" }, "Unlike protocols side by side, as asked: rows marked ≠ are not comparable with the others."),
      el("p", { class: "notes" }, alone && `${protocol.text}. `,
        `mIoU in %, intervals of 95 % over ${protocol.unit ?? "images"}`, protocol.caveat && `, ${protocol.caveat}`,
        groups && ` (those over ${groups}: point at one)`, ".",
        cells.some((cell) => cell.bold) && " Bold: not told apart from the best.", " Rows that share a letter are not told apart."),
      el("details", { class: "more" }, el("summary", {}, "Protocol"),
        facts([...Object.entries(flat(protocol.card)), ...(named ? [["groups", named]] : [])])),
    ].filter(Boolean);
  }

  body() {
    const choose = (name) => {
      this.strategy = name;
      this.drawOverview();
      this.drawCharts();
    };
    const options = this.strategies.map((name) => [name, name]);
    const pick = choice("Strategy of the charts", options, this.strategy, choose);
    const bar = options.length > 1 && el("div", { class: "bar" }, el("span", { class: "soft" }, "Charts of "), pick);
    return [bar, this.overview, this.legend, this.charts];
  }

  /** The baseline and the best of the first strategy: what a reader compares first. */
  firstChosen() {
    const value = (row) => row.cells[this.strategy].miou.value;
    const best = this.tested(this.rows).sort((a, b) => value(b) - value(a)).slice(0, 3);
    return this.tested(this.rows).filter((row) => isBaseline(row) || best.includes(row)).map((row) => row.id);
  }

  tested(rows) {
    return rows.filter((row) => row.cells[this.strategy]);
  }

  order() {
    return [...this.chosen];
  }

  chosenRows() {
    return this.order().map((id) => report.byRow.get(id));
  }

  choose(id, wanted) {
    if (wanted && this.chosen.size >= MOST_CHOSEN) say(`The charts show ${MOST_CHOSEN} configurations at most`);
    else this.chosen[wanted ? "add" : "delete"](id);
    this.table.recolour();
    this.drawCharts();
    redraw();
  }

  /** Charts of all rows follow the table's filter and order. */
  look(view) {
    const rows = [...new Set(view.map((row) => row.of ?? row.id))];
    const same = rows.join() === this.view.map((row) => row.id).join();
    this.view = rows.map((id) => report.byRow.get(id));
    if (!same && this.node) redraw();
  }

  drawOverview() {
    if (!this.strategies.length) return;
    this.overview.replaceChildren(...[forest(this), tradeoff(this)].filter(Boolean));
  }

  drawCharts() {
    if (!this.strategies.length) return;
    this.legend.replaceChildren(...this.chosenRows().map((row, at) =>
      el("span", {}, el("i", { style: `background:${colourAt(at)}` }), labelOf(row))));
    if (!this.chosen.size) this.legend.replaceChildren("Tick configurations in the table to see their classes and curves.");
    const loose = "Line: 95 % interval over images.";
    const parts = [
      grouped(this, "classes", "per_class", "class", "IoU per class", loose),
      confusion(this, this.protocol),
      grouped(this, "sizes", "sizes", "size", "IoU by object size", loose),
      curves(this, "val_miou", "Validation mIoU", "mIoU (%)", 100),
      curves(this, "loss", "Training loss", "loss", 1),
    ];
    this.charts.replaceChildren(...parts.filter(Boolean));
  }
}

/**
 * The sections of a report: one for each protocol, or one for all if that was asked for, with marks. What has no
 * protocol yet stands with the only one, or apart.
 */
function sections() {
  const { protocols, rows } = report;
  const alone = protocols.length === 1 || report.mixed;
  const found = alone ? [[protocols[0] ?? null, rows]]
    : [...protocols, null].map((protocol) => [protocol, rows.filter((row) => row.protocol === (protocol?.id ?? null))]);
  return found.filter(([, rows]) => rows.length).map(([protocol, rows]) => new Section(protocol, rows, alone));
}
