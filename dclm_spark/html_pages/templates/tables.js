// Sorts and searches tables; without it every page is complete, in the order of its writer.
"use strict";
const SEARCHED_FROM = 12;

function valueOf(cell) {
  if (!cell) return "";
  if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
  const text = cell.textContent.trim();
  const number = Number(text.replace(/[,%\s]/g, "").replace("−", "-"));
  return text && !Number.isNaN(number) ? number : text.toLowerCase();
}

function compare(left, right) {
  const numbers = typeof left === "number" && typeof right === "number";
  return numbers ? left - right : String(left).localeCompare(String(right));
}

function sortBy(table, head, column) {
  const descending = head.getAttribute("aria-sort") === "descending" ||
    (!head.hasAttribute("aria-sort") && !head.classList.contains("number"));
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "ascending" : "descending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [valueOf(row.cells[column]), row]);
  rows.sort((one, other) => (descending ? 1 : -1) * compare(one[0], other[0]));
  body.append(...rows.map((pair) => pair[1]));
}

function makeSortable(table) {
  for (const [column, head] of [...table.tHead.rows[0].cells].entries()) {
    if (!head.textContent.trim()) continue;
    head.tabIndex = 0;
    head.title = "Sort by this column";
    head.addEventListener("click", () => sortBy(table, head, column));
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter") sortBy(table, head, column);
    });
  }
}

function addSearch(before, items, what) {
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = `Search ${items.length} ${what}`;
  field.setAttribute("aria-label", field.placeholder);
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase();
    for (const item of items) item.hidden = !item.textContent.toLowerCase().includes(wanted);
  });
  before.before(field);
}

for (const table of document.querySelectorAll("table")) {
  if (!table.tHead) continue;
  makeSortable(table);
  const rows = [...table.tBodies[0].rows];
  if (rows.length >= SEARCHED_FROM) addSearch(table.closest(".scroll") || table, rows, "rows");
}
for (const list of document.querySelectorAll(".searched")) {
  if (list.children.length >= SEARCHED_FROM) addSearch(list, [...list.children], "rules");
}
