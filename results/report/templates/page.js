"use strict";
// Draws each plot when it comes near the screen, in the reader's theme; makes tables sortable.
const figures = JSON.parse(document.getElementById("figures").textContent);
const canvases = [...document.querySelectorAll("[data-plot]")];
const dark = matchMedia("(prefers-color-scheme: dark)");
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

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
    if (entry.isIntersecting) { near.unobserve(entry.target); draw(entry.target); }
  }
}, { rootMargin: "400px" });
canvases.forEach((canvas) => near.observe(canvas));
const drawn = () => canvases.filter((canvas) => canvas.dataset.drawn);
dark.addEventListener("change", () => drawn().forEach(draw));
addEventListener("beforeprint", () => canvases.filter((canvas) => !canvas.dataset.drawn).forEach(draw));

function order(a, b) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const difference = Number(a) - Number(b);
  return Number.isNaN(difference) ? a.localeCompare(b) : difference;
}

function sortBy(table, heading) {
  const column = heading.cellIndex, descending = heading.getAttribute("aria-sort") === "ascending";
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const value = (row) => row.cells[column].dataset.v, rows = [...table.tBodies[0].rows];
  const missing = rows.filter((row) => value(row) === ""), known = rows.filter((row) => value(row) !== "");
  known.sort((a, b) => order(value(a), value(b)));
  if (descending) known.reverse();
  table.tBodies[0].append(...known, ...missing);
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const button of table.querySelectorAll("th button")) {
    button.addEventListener("click", () => sortBy(table, button.parentElement));
  }
}
