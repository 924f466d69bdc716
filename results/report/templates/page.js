"use strict";
// Draws each plot when it comes near the screen, in the reader's theme; makes tables sortable.
const canvases = [...document.querySelectorAll("[data-plot]")];
const dark = matchMedia("(prefers-color-scheme: dark)");
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const PAPER_WIDTH = 640;  // pixels: narrower than Letter and A4 with their margins
let figures = {}, ready;

async function unpack(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

function prepare() {
  ready ??= (async () => {
    const [code, data] = await Promise.all([unpack("plotly"), unpack("figures")]);
    const script = document.createElement("script");
    script.textContent = code;
    document.head.append(script);
    figures = JSON.parse(data);
  })();
  return ready;
}

function themed(figure) {
  const ink = color("--ink"), grid = color("--grid"), layout = structuredClone(figure.layout);
  layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
  layout.font = { color: ink, family: getComputedStyle(document.body).fontFamily, size: 12 };
  layout.hoverlabel = { ...layout.hoverlabel, bgcolor: color("--card"), bordercolor: color("--line"), font: { color: ink } };
  layout.autosize = true;
  if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false;  // a finger scrolls the page
  for (const key of Object.keys(layout)) {
    if (/^[xy]axis/.test(key)) {
      Object.assign(layout[key], { gridcolor: grid, linecolor: grid, zeroline: false, showgrid: true });
    }
  }
  return layout;
}

function traces(figure) {
  const ink = color("--ink"), data = structuredClone(figure.data);
  for (const trace of data) {
    if (trace.type === "parcoords") {
      trace.labelfont = trace.tickfont = { color: ink, size: 12 };
      trace.rangefont = { color: "rgba(0,0,0,0)" };
      trace.unselected = { line: { color: color("--line"), opacity: 0.3 } };
    }
  }
  return data;
}

function draw(canvas) {
  const figure = figures[canvas.dataset.plot];
  canvas.dataset.drawn = "yes";
  return Plotly.react(canvas, traces(figure), themed(figure), { displaylogo: false, responsive: true, displayModeBar: false });
}

const near = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) { near.unobserve(entry.target); prepare().then(() => draw(entry.target)); }
  }
}, { rootMargin: "400px" });
canvases.forEach((canvas) => near.observe(canvas));
if (canvases.length) addEventListener("load", () => setTimeout(prepare, 500));  // printing cannot wait for it
const drawn = () => canvases.filter((canvas) => canvas.dataset.drawn);
dark.addEventListener("change", () => drawn().forEach(draw));

// On paper a plot has the width of its card there, which is known only while printing.
addEventListener("beforeprint", () => {
  if (!window.Plotly) return;
  document.body.classList.add("printed");
  for (const canvas of canvases) {
    if (!canvas.dataset.drawn) draw(canvas);
    Plotly.relayout(canvas, { width: PAPER_WIDTH, autosize: false });
  }
});
addEventListener("afterprint", () => {
  document.body.classList.remove("printed");
  drawn().forEach((canvas) => Plotly.relayout(canvas, { width: null, autosize: true }));
});

function order(a, b) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const difference = Number(a) - Number(b);
  return Number.isNaN(difference) ? a.localeCompare(b) : difference;
}

const known = (value) => value !== "";

function sorted(rows, value, descending) {
  const found = rows.filter((row) => known(value(row))).sort((a, b) => order(value(a), value(b)));
  return [...(descending ? found.reverse() : found), ...rows.filter((row) => !known(value(row)))];
}

// Rows of the table: those in the page, or all of a long table, of which the page has one part at a time.
class Rows {
  constructor(table) {
    this.table = table;
    this.body = table.tBodies[0];
    this.pager = table.closest("section")?.querySelector(".pager");
    this.first = 0;
    this.size = Number(table.dataset.page || Infinity);
    if (this.pager && !this.pager.hidden) {
      unpack("rows").then((text) => { this.all = JSON.parse(text); });
      for (const button of this.pager.querySelectorAll("button")) {
        button.addEventListener("click", () => this.show(this.first + this.size * Number(button.dataset.turn)));
      }
    }
  }

  sort(column, descending) {
    if (!this.all) {
      this.body.append(...sorted([...this.body.rows], (row) => row.cells[column].dataset.v, descending));
    } else if (column < this.all[0].cells.length) {
      this.all = sorted(this.all, (row) => String(row.cells[column][1]), descending);
      this.show(0);
    }
  }

  show(first) {
    if (!this.all || first < 0 || first >= this.all.length) return;
    const last = Math.min(first + this.size, this.all.length), [earlier, later] = this.pager.querySelectorAll("button");
    this.first = first;
    this.body.replaceChildren(...this.all.slice(first, last).map((row) => this.row(row)));
    this.pager.querySelector("span").textContent = `${first + 1} to ${last}`;
    earlier.disabled = first === 0;
    later.disabled = last === this.all.length;
  }

  row({ cells, state, config, command }) {
    const line = document.createElement("tr"), code = document.createElement("code");
    line.className = config;
    cells.forEach(([text, value], index) => {
      const cell = line.insertCell();
      cell.textContent = text;
      cell.dataset.v = value;
      if (text === state) cell.className = `state ${text}`;
      if (config && index === 1) {
        const badge = document.createElement("span");
        badge.className = "badge";
        badge.textContent = config;
        cell.append(" ", badge);
      }
    });
    code.textContent = command;
    line.insertCell().append(code);
    return line;
  }
}

for (const table of document.querySelectorAll("table.sortable")) {
  const rows = new Rows(table);
  for (const button of table.querySelectorAll("th button")) {
    const heading = button.parentElement;
    button.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      rows.sort(heading.cellIndex, descending);
    });
  }
}
