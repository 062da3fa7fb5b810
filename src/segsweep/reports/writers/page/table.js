"use strict";
// The results as a table that sorts, filters, and shows the columns that are asked for.

const AT_ONCE = 60;

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
    this.lines = (grouped ? this.rows : this.rows.flatMap(seedRows)).map((row) => ({ row }));
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
    const table = el("table", { class: "main", "aria-rowcount": this.lines.length + 1 },
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

  /** Put the lines that pass the filter into the order that is asked for; what has no value comes last. */
  arrange() {
    const passing = this.lines.filter((line) => this.words.every((word) => contains(line, word)));
    const column = this.columns.find((one) => one.key === this.sorted?.key);
    if (column) {
      const down = this.sorted.down ? -1 : 1;
      passing.sort((a, b) => compareValues(column.value(a.row), column.value(b.row), down));
    } else passing.sort((a, b) => isTested(b.row) - isTested(a.row));
    for (const head of this.heads) {
      const mine = head.dataset.key === this.sorted?.key;
      head.setAttribute("aria-sort", mine ? (this.sorted.down ? "descending" : "ascending") : "none");
    }
    this.fill(passing);
    const all = this.lines.length;
    this.count.textContent = passing.length === all ? `${all} ${this.grouped ? "configurations" : "runs"}` : `${passing.length} of ${all}`;
    this.onView(passing.map((line) => line.row));
  }

  /** Put the first lines there, and more when the reader comes to their end: browsers lay long tables out slowly. */
  fill(lines) {
    this.body.replaceChildren();
    const add = () => {
      more.remove();
      this.end.disconnect();
      const from = this.body.querySelectorAll("tr[data-row]").length;
      const next = lines.slice(from, from + AT_ONCE);
      this.body.append(...next.flatMap((line) => (line.nodes ??= this.draw(line.row))));
      this.recolour();
      if (from + next.length === lines.length) return;
      this.body.append(more);
      this.end.observe(more); // anew, as it tells of changes only, and may be in view still
    };
    const button = el("button", { type: "button", onclick: add }, "More rows");
    const more = el("tr", { class: "more" }, el("td", { colspan: this.visible.length + 1 }, button));
    this.end?.disconnect();
    this.end = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && add(),
      { root: this.box, rootMargin: "600px" });
    add();
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
    const isWord = typeof content === "string" && row.runs.length;
    const mark = row.unlike?.length > 0 && el("span", { class: "unlike" }, `≠ ${row.unlike.join(", ")}`);
    return [isWord ? runLink(row.runs[0], content) : content, mark];
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

function contains(line, word) {
  line.text ??= searchTexts(line.row);
  return line.text[word.includes("=") ? "named" : "plain"].includes(word);
}

/** What a word of the filter is sought in: all options if it names one, else the axes, the state and the runs. */
function searchTexts(row) {
  const named = Object.entries({ ...row.settings, ...row.axes, state: row.state });
  const plain = [...Object.values(row.axes).map(shown), row.state, ...row.runs];
  return { named: named.map(([name, value]) => `${name}=${shown(value)}`).join(" ").toLowerCase(), plain: plain.join(" ").toLowerCase() };
}

function compareValues(a, b, down) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return down * (a - b);
  return down * String(a).localeCompare(String(b), undefined, { numeric: true });
}
