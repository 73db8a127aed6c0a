// Sorting, filtering and scrolling of the tables of a report, and its colours in a notebook.
// Without it the page shows the first rows of every table, and everything else.
(() => {
"use strict";

const LONG = 48; // characters; a longer text takes three lines, and a click shows all of it
const WINDOWED = 200; // rows; of more only those in sight are in the page
const AROUND = 12; // rows beyond what is in sight
const collator = new Intl.Collator("en", {numeric: true});
const count = new Intl.NumberFormat("en");

function made(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

// ------------------------------------------------------------------------------ the values of a table

/** Columns as texts, null where one is missing. The first rows are read from the page. */
function columnsOf(table, data) {
  const columns = [...table.tHead.rows[0].cells].map((head) => ({
    head, numeric: head.classList.contains("n"), bar: head.classList.contains("b"), texts: [], keys: null,
  }));
  for (const row of table.tBodies[0].rows)
    columns.forEach(({texts}, j) => {
      const cell = row.cells[j];
      texts.push(cell.classList.contains("m") ? null : cell.textContent);
    });
  const rest = data ? JSON.parse(data.textContent) : columns.map(() => []);
  columns.forEach((column, j) => {
    const texts = typeof rest[j] === "string" ? rest[j].split(" ").map((text) => text || null) : rest[j];
    column.texts = column.texts.concat(texts);
  });
  return columns;
}

const number = (text) => (text === "inf" ? Infinity : text === "-inf" ? -Infinity : Number(text));

const weights = new Uint8Array(127); // of ASCII in the order of the collator, letters without their case
[..." !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"].sort(collator.compare).forEach((sign, at) => { weights[sign.charCodeAt(0)] = at + 1; });
[..."0123456789abcdefghijklmnopqrstuvwxyz"].forEach((sign, at) => {
  weights[sign.charCodeAt(0)] = weights[sign.toUpperCase().charCodeAt(0)] = at + 40;
});
const isDigit = (code) => code >= 48 && code <= 57;

/** Where the digits end that begin at a place. */
function endOfNumber(text, at) {
  while (at < text.length && isDigit(text.charCodeAt(at))) at++;
  return at;
}

/** Compare texts as the collator does, which is much slower; it is asked where this cannot tell. */
function compared(a, b) {
  const shorter = Math.min(a.length, b.length);
  let i = 0;
  while (i < shorter && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  while (i > 0 && isDigit(a.charCodeAt(i - 1))) i--; // a number is compared from its first digit
  let j = i;
  while (i < a.length && j < b.length) {
    const x = a.charCodeAt(i), y = b.charCodeAt(j);
    if (x > 126 || y > 126 || !weights[x] || !weights[y]) return collator.compare(a, b);
    if (isDigit(x) && isDigit(y)) { // the longer number is the larger
      while (i < a.length && a.charCodeAt(i) === 48) i++;
      while (j < b.length && b.charCodeAt(j) === 48) j++;
      const end = endOfNumber(a, i), length = end - i, difference = length - (endOfNumber(b, j) - j);
      if (difference) return difference;
      for (; i < end; i++, j++) {
        const digit = a.charCodeAt(i) - b.charCodeAt(j);
        if (digit) return digit;
      }
    } else {
      if (weights[x] !== weights[y]) return weights[x] - weights[y];
      i++;
      j++;
    }
  }
  const [longer, at, sign] = i < a.length ? [a, i, 1] : [b, j, -1];
  const isPlain = at < longer.length && longer.charCodeAt(at) <= 126 && weights[longer.charCodeAt(at)];
  return isPlain ? sign : collator.compare(a, b);
}

/** What a column is sorted by: its numbers, or the ranks of its texts; NaN where one is missing. */
function keysOf({numeric, texts}) {
  if (numeric) return Float64Array.from(texts, (text) => (text === null ? NaN : number(text)));
  const rows = [...texts.keys()].filter((row) => texts[row] !== null).sort((a, b) => compared(texts[a], texts[b]));
  const keys = new Float64Array(texts.length).fill(NaN);
  rows.forEach((row, at) => {
    const isNew = at === 0 || compared(texts[rows[at - 1]], texts[row]) !== 0;
    keys[row] = isNew ? at : keys[rows[at - 1]];
  });
  return keys;
}

/** All rows in the order of a column; equal ones as they were, missing ones last. */
function sorted(n, column, direction) {
  const rows = Uint32Array.from({length: n}, (_, row) => row);
  if (!column) return rows;
  const keys = (column.keys ??= keysOf(column));
  const missing = rows.filter((row) => Number.isNaN(keys[row]));
  const known = rows.filter((row) => !Number.isNaN(keys[row]));
  // infinities: their difference is no number, so they are compared
  known.sort((a, b) => (keys[a] < keys[b] ? -direction : keys[a] > keys[b] ? direction : a - b));
  const order = new Uint32Array(n);
  order.set(known);
  order.set(missing, known.length);
  return order;
}

/** One text a row, to search in. */
function searchable(columns, n) {
  const texts = columns.map((column) => column.texts);
  return Array.from({length: n}, (_, row) => {
    let line = "";
    for (const column of texts) line += (column[row] ?? "") + "\n";
    return line.toLowerCase();
  });
}

// ------------------------------------------------------------------------------------ a live table

function enliven(figure) {
  const box = figure.querySelector(".box"), table = box.querySelector("table"), body = table.tBodies[0];
  const data = figure.querySelector("script[type='application/json']");
  const columns = columnsOf(table, data);
  data?.remove();
  const n = columns[0]?.texts.length ?? 0;
  if (n < 2) return; // nothing to sort or to search
  const name = figure.querySelector(".name").textContent, counted = figure.querySelector(".count");
  const blue = Number(figure.dataset.blue ?? 1);
  const isTall = columns.some(({texts}) => texts.some((text) => text !== null && text.length > LONG));
  const live = new Map(); // rows in the page, by where they stand
  let order = sorted(n), shown = order, lines = null, words = [], by = null, direction = 0, height = 0, isHeld = false, isWhole = false;

  function cell({numeric, bar, texts}, row) {
    const text = texts[row], td = document.createElement("td");
    if (numeric) td.className = "n";
    if (text === null) {
      td.classList.add("m");
      td.textContent = "–";
    } else if (!numeric && text.length > LONG) {
      td.append(made("button", {type: "button", className: "long"}, text));
    } else td.textContent = text;
    if (bar && text !== null && Number.isFinite(number(text))) {
      const drawn = made("i", {className: `bar ${blue * number(text) >= 0 ? "blue" : "red"}`});
      drawn.style.setProperty("--v", text);
      td.append(drawn);
    }
    return td;
  }

  function line(at) {
    const tr = document.createElement("tr");
    tr.setAttribute("aria-rowindex", at + 2);
    for (const column of columns) tr.append(cell(column, shown[at]));
    return tr;
  }

  function gap() {
    const td = made("td", {className: "gap", colSpan: columns.length}), tr = made("tr", {hidden: true}, td);
    tr.setAttribute("aria-hidden", "true");
    return {tr, set: (pixels) => { tr.hidden = pixels === 0; td.style.height = `${pixels}px`; }};
  }
  const above = gap(), below = gap();

  /** Put the rows in sight into the page, and leave those alone that are there. */
  function draw() {
    const isWindowed = shown.length > WINDOWED && !isWhole && height > 0;
    const first = isWindowed ? Math.floor(box.scrollTop / height) - AROUND : 0;
    const inSight = isWindowed ? Math.ceil(box.clientHeight / height) + 2 * AROUND : WINDOWED;
    const to = Math.min(shown.length, Math.max(first, 0) + inSight), from = Math.max(0, Math.min(first, to - inSight));
    for (const [at, tr] of live)
      if (at < from || at >= to) {
        tr.remove();
        live.delete(at);
      }
    let before = above.tr;
    for (let at = from; at < to; at++) {
      if (!live.has(at)) {
        live.set(at, line(at));
        before.after(live.get(at));
      }
      before = live.get(at);
    }
    above.set(isWindowed ? from * height : 0);
    below.set(isWindowed ? (shown.length - to) * height : 0);
  }

  function redraw() {
    for (const tr of live.values()) tr.remove();
    live.clear();
    draw();
    table.setAttribute("aria-rowcount", shown.length + 1);
    const there = isWhole ? Math.min(shown.length, WINDOWED) : shown.length; // on paper
    counted.textContent = there === n ? `${count.format(n)} ${n === 1 ? "row" : "rows"}`
      : `${count.format(there)} of ${count.format(n)} ${n === 1 ? "row" : "rows"}`;
  }

  function choose() {
    if (words.length) {
      lines ??= searchable(columns, n);
      shown = order.filter((row) => words.every((word) => lines[row].includes(word)));
    } else shown = order;
    box.scrollTop = 0;
    redraw();
  }

  function sort(column) {
    direction = by === column ? (direction === 1 ? -1 : 0) : 1;
    by = direction ? column : null;
    order = sorted(n, by, direction);
    for (const each of columns) {
      if (each === by) each.head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      else each.head.removeAttribute("aria-sort");
      each.head.querySelector(".arrow").textContent = each !== by ? "↕" : direction === 1 ? "▲" : "▼";
    }
    choose();
  }

  /** Hold the widths of the columns, so that they stay when other rows come; those of the longest texts. */
  function hold() {
    const longest = columns.map(({texts}) => {
      let row = 0;
      texts.forEach((text, at) => { if ((text?.length ?? 0) > (texts[row]?.length ?? 0)) row = at; });
      return row;
    });
    const widest = made("tr", {}, ...columns.map((column, j) => cell(column, longest[j])));
    body.append(widest);
    const widths = columns.map(({head}) => head.getBoundingClientRect().width);
    const rows = [...live.values()].map((row) => row.getBoundingClientRect());
    widest.remove();
    if (!widths[0] || !rows.length) return; // in what is folded
    height = (rows.at(-1).bottom - rows[0].top) / rows.length;
    table.querySelector("colgroup")?.remove();
    const cols = widths.map((width) => {
      const col = document.createElement("col");
      col.style.width = `${Math.ceil(width)}px`;
      return col;
    });
    table.prepend(made("colgroup", {}, ...cols));
    table.classList.add("fixed");
    isHeld = true;
  }

  for (const column of columns) {
    const arrow = made("span", {className: "arrow"}, "↕");
    arrow.setAttribute("aria-hidden", "true");
    const button = made("button", {type: "button"}, ...column.head.childNodes, arrow);
    column.head.append(button);
    button.addEventListener("click", () => sort(column));
  }
  const input = made("input", {type: "search", autocomplete: "off", spellcheck: false});
  input.setAttribute("aria-label", `Filter: ${name}`);
  input.addEventListener("input", () => {
    words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    choose();
  });
  const frame = box.parentElement, seen = made("p", {className: "seen"});
  frame.after(seen);
  counted.setAttribute("role", "status");
  counted.after(made("label", {}, "Filter", input));
  table.classList.add("live");
  table.classList.toggle("tall", isTall);
  table.tHead.rows[0].setAttribute("aria-rowindex", 1);
  body.replaceChildren(above.tr, below.tr);
  redraw();

  /** Which rows the box shows now, of all that are in it. */
  function inSight() {
    const top = box.getBoundingClientRect().top + table.tHead.offsetHeight, bottom = box.getBoundingClientRect().bottom;
    const rows = [...live].filter(([, tr]) => {
      const at = tr.getBoundingClientRect();
      return at.bottom > top + at.height / 2 && at.top < bottom - at.height / 2;
    }).map(([at]) => at);
    if (!rows.length) return "";
    return `rows ${count.format(Math.min(...rows) + 1)}–${count.format(Math.max(...rows) + 1)} of ${count.format(shown.length)}; scroll for more`;
  }

  let isAsked = false;
  function look() {
    isAsked = false;
    draw();
    const isBelow = box.scrollTop + box.clientHeight < box.scrollHeight - 1;
    frame.classList.toggle("right", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
    frame.classList.toggle("below", isBelow);
    const isScrolled = box.scrollHeight > box.clientHeight + 1;
    seen.textContent = isScrolled ? inSight() : "";
  }
  box.addEventListener("scroll", () => {
    if (!isAsked) requestAnimationFrame(look);
    isAsked = true;
  }, {passive: true});
  new ResizeObserver(() => {
    if (!isHeld) hold();
    look();
  }).observe(box);
  figure.print = (isPrinting) => { isWhole = isPrinting; redraw(); };
}

// ---------------------------------------------------------------------------------- a whole report

function start(report, root) {
  for (const figure of report.querySelectorAll(".table")) enliven(figure);

  const whole = made("div", {className: "whole", popover: "auto"});
  whole.setAttribute("aria-label", "Whole text");
  whole.setAttribute("role", "region");
  report.append(whole);
  report.addEventListener("click", (event) => {
    const long = event.target.closest(".long"), link = event.target.closest("nav a");
    if (long) {
      whole.textContent = long.textContent;
      whole.showPopover?.();
    } else if (link && root !== document) { // addresses do not reach into a shadow root
      event.preventDefault();
      const section = root.getElementById(link.getAttribute("href").slice(1));
      section.scrollIntoView();
      section.focus({preventScroll: true});
    }
  });

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...report.querySelectorAll("details:not([open])")];
    for (const each of opened) each.open = true;
    for (const figure of report.querySelectorAll(".table")) figure.print?.(true);
  });
  addEventListener("afterprint", () => {
    for (const each of opened) each.open = false;
    for (const figure of report.querySelectorAll(".table")) figure.print?.(false);
  });
}

/** Whether the page behind an element is dark, by the first ground that is no glass. */
function isDark(element) {
  for (let at = element; at; at = at.parentElement ?? at.getRootNode().host) {
    const [red, green, blue, alpha = 1] = getComputedStyle(at).backgroundColor.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0, 0];
    if (alpha > .5) return .299 * red + .587 * green + .114 * blue < 128;
  }
  const scheme = getComputedStyle(document.documentElement).colorScheme;
  return scheme.includes("dark") && (!scheme.includes("light") || matchMedia("(prefers-color-scheme: dark)").matches);
}

function follow(report, host) {
  const set = () => { report.dataset.theme = isDark(host.parentElement) ? "dark" : "light"; };
  set();
  const changes = new MutationObserver(() => setTimeout(set, 60)); // once new styles are there
  for (const each of [document.documentElement, document.body]) changes.observe(each, {attributes: true});
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", set);
}

for (const report of document.querySelectorAll(".ski-report.page:not([data-live])")) {
  report.dataset.live = "";
  start(report, document);
}
for (const host of document.querySelectorAll(".ski-host:not([data-live])")) {
  host.dataset.live = "";
  const root = host.attachShadow({mode: "open"});
  root.append(...host.childNodes);
  const report = root.querySelector(".ski-report");
  follow(report, host);
  start(report, root);
}
})();
