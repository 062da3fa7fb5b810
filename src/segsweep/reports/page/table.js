"use strict";
// The results as a table that sorts, filters, and shows the columns that are asked for.

class ResultsTable {
  /** `chosen` is the set of rows in the charts; `onChoose` and `onView` are called if it or the rows in view change. */
  constructor(rows, strategies, caption, chosen, onChoose, onView) {
    Object.assign(this, { rows, chosen, onChoose, onView, caption });
    this.hasSeeds = rows.some((row) => row.runs.length > 1);
    this.strategies = strategies;
    this.sorted = null;
    this.words = [];
    this.setGrouped(true);
    this.node = el("div", { class: "results" }, this.toolbar(), this.box);
  }

  setGrouped(grouped) {
    this.grouped = grouped;
    this.lines = (grouped ? this.rows : this.rows.flatMap(seedRows)).map((row) => ({ row, text: searchText(row) }));
    this.columns = columnsOf(this.lines.map((line) => line.row), this.strategies);
    this.wanted = new Set(this.columns.filter((column) => column.shown).map((column) => column.key));
    this.box ??= el("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": this.caption });
    this.build();
  }

  toolbar() {
    const filter = el("input", {
      type: "search", placeholder: "Filter: head=ksac seed=0 …", "aria-label": "Filter rows", class: "filter",
      oninput: () => {
        this.words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
        this.arrange();
      },
    });
    this.count = el("span", { class: "count", role: "status" });
    this.chooser = el("details", { class: "chooser" });
    const seeds = this.hasSeeds && el("label", {},
      el("input", { type: "checkbox", checked: true, class: "group", onchange: (event) => {
        this.setGrouped(event.target.checked);
        this.offerColumns();
      } }), " group by all but seed");
    this.offerColumns();
    this.arrange();
    return el("div", { class: "toolbar" }, filter, seeds, this.chooser, this.count);
  }

  offerColumns() {
    const kinds = [...new Set(this.columns.map((column) => column.kind))];
    const boxes = kinds.map((kind) => el("fieldset", {}, el("legend", {}, kind),
      this.columns.filter((column) => column.kind === kind).map((column) => this.offer(column))));
    const usual = el("button", { type: "button", onclick: () => {
      this.wanted = new Set(this.columns.filter((column) => column.shown).map((column) => column.key));
      this.offerColumns();
      this.build();
    } }, "Only columns that differ");
    this.chooser.replaceChildren(el("summary", {}, "Columns"), el("div", { class: "panel" }, usual, boxes));
  }

  offer(column) {
    const toggle = (event) => {
      this.wanted[event.target.checked ? "add" : "delete"](column.key);
      this.build();
    };
    const title = column.under ? `${column.title}, ${column.under}` : column.title;
    const box = el("input", { type: "checkbox", value: column.key, checked: this.wanted.has(column.key), onchange: toggle });
    return el("label", {}, box, ` ${title}`);
  }

  build() {
    this.visible = this.columns.filter((column) => this.wanted.has(column.key));
    this.heads = this.visible.map((column) => this.head(column));
    this.body = el("tbody");
    for (const line of this.lines) line.nodes = null;
    const table = el("table", { class: "main" },
      el("caption", { class: "unseen" }, this.caption),
      el("thead", {}, el("tr", {}, el("th", { scope: "col", class: "pick" }, el("span", { class: "unseen" }, "in the charts")), this.heads)),
      this.body);
    this.box.replaceChildren(table);
    if (this.count) this.arrange();
  }

  head(column) {
    const sort = () => {
      const again = this.sorted?.key === column.key;
      this.sorted = { key: column.key, down: again ? !this.sorted.down : Boolean(column.number) };
      this.arrange();
      say(`Sorted by ${column.title}, ${this.sorted.down ? "descending" : "ascending"}`);
    };
    const title = [column.title, column.under && el("small", {}, column.under)];
    const button = el("button", { type: "button", onclick: sort }, title);
    return el("th", { scope: "col", class: column.number && "number", "data-key": column.key }, button);
  }

  /** Put the lines that pass the filter into the order that is asked for; those without a value come last. */
  arrange() {
    const passing = this.lines.filter((line) => this.words.every((word) => line.text.includes(word)));
    const column = this.columns.find((one) => one.key === this.sorted?.key);
    if (column) {
      const down = this.sorted.down ? -1 : 1;
      passing.sort((a, b) => compareValues(column.value(a.row), column.value(b.row), down));
    }
    for (const head of this.heads) {
      const mine = head.dataset.key === this.sorted?.key;
      head.setAttribute("aria-sort", mine ? (this.sorted.down ? "descending" : "ascending") : "none");
    }
    this.body.replaceChildren(...passing.flatMap((line) => (line.nodes ??= this.draw(line.row))));
    const all = this.lines.length;
    this.count.textContent = passing.length === all ? `${all} ${this.grouped ? "configurations" : "runs"}` : `${passing.length} of ${all}`;
    this.recolour();
    this.onView(passing.map((line) => line.row));
  }

  draw(row) {
    const [first, ...others] = this.visible;
    const id = row.of ?? row.id;
    const cells = [
      el("td", { class: "pick" }, this.pick(row, id)),
      first && el("th", { scope: "row" }, this.leading(row, first)),
      others.map((column) => el("td", { class: column.number && "number" }, column.cell(row) || "")),
    ];
    const line = el("tr", { "data-row": id, class: !isTested(row) && "untested" }, cells);
    if (!row.command) return [line];
    const why = [row.why && el("span", { class: "soft" }, row.why), command(row.command)];
    const todo = el("td", { colspan: this.visible.length }, el("div", { class: "why" }, el("span", { class: "unseen" }, "to complete it: "), why));
    return [line, el("tr", { class: "todo" }, el("td", { class: "pick" }), todo)];
  }

  /** The first cell leads to the row's run, if it has one. */
  leading(row, column) {
    const content = column.cell(row);
    return row.runs.length && !(content instanceof Node) && !Array.isArray(content) ? runLink(row.runs[0], content) : content;
  }

  pick(row, id) {
    return el("input", {
      type: "checkbox", "aria-label": `${labelOf(row)} in the charts`,
      onchange: (event) => this.onChoose(id, event.target.checked),
    });
  }

  /** Tick the chosen rows in their charts' colours. */
  recolour() {
    const order = [...this.chosen];
    for (const line of this.body.querySelectorAll("tr[data-row]")) {
      const at = order.indexOf(line.dataset.row);
      const box = line.querySelector("input");
      box.checked = at >= 0;
      box.style.accentColor = at >= 0 ? colourAt(at) : "";
    }
  }
}

function searchText(row) {
  const settings = { ...row.settings, ...row.axes, state: row.state };
  const words = Object.entries(settings).map(([name, value]) => `${name}=${shown(value)}`);
  return [...words, ...row.runs].join(" ").toLowerCase();
}

function compareValues(a, b, down) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return down * (a - b);
  return down * String(a).localeCompare(String(b), undefined, { numeric: true });
}
