(function () {
  "use strict";
  document.documentElement.classList.add("js");

  function each(selector, act, within) {
    Array.prototype.forEach.call((within || document).querySelectorAll(selector), act);
  }

  // Open every fold around a part.
  function unfold(node) {
    for (; node; node = node.parentElement) {
      if (node.tagName === "DETAILS") { node.open = true; }
    }
  }

  // Every number goes on paper: open what is folded before printing, and fold it back after.
  var opened = [];
  window.addEventListener("beforeprint", function () {
    opened = Array.prototype.filter.call(document.querySelectorAll("details"), function (d) {
      return !d.open;
    });
    opened.forEach(function (d) { d.open = true; });
  });
  window.addEventListener("afterprint", function () {
    opened.forEach(function (d) { d.open = false; });
    opened = [];
  });

  // A link into a folded part opens it.
  function reveal() {
    var target = location.hash && document.getElementById(location.hash.slice(1));
    unfold(target || null);
  }
  window.addEventListener("hashchange", reveal);
  reveal();

  // Wide tables and figures scroll on a phone; the keyboard must reach them there.
  function mark() {
    Array.prototype.forEach.call(document.querySelectorAll(".scroll"), function (box) {
      if (box.scrollWidth > box.clientWidth + 1) { box.setAttribute("tabindex", "0"); }
      else { box.removeAttribute("tabindex"); }
    });
  }
  window.addEventListener("resize", mark);
  document.addEventListener("toggle", mark, true);
  mark();

  each("table", sortable);
  search();
  each("figure", readable);
  theme();

  follow();

  // The contents list follows the reader: its last part that began above a quarter of the screen.
  function follow() {
    var parts = [], waiting = false, now = null;
    each("nav.contents a", function (a) {
      var part = document.getElementById(a.getAttribute("href").slice(1));
      if (part) { parts.push({ link: a, part: part }); }
    });
    function look() {
      waiting = false;
      var here = parts[0];
      parts.forEach(function (item) {
        if (item.part.getBoundingClientRect().top < window.innerHeight / 4) { here = item; }
      });
      if (!here || here === now) { return; }
      if (now) { now.link.removeAttribute("aria-current"); }
      here.link.setAttribute("aria-current", "true");
      now = here;
    }
    function wait() {
      if (!waiting) { waiting = true; window.requestAnimationFrame(look); }
    }
    window.addEventListener("scroll", wait, { passive: true });
    window.addEventListener("resize", wait);
    look();
  }

  // --- sorting ---------------------------------------------------------------------------------

  // What a cell is ordered by: the number it starts with, else its words; null where it says none.
  function cellKey(cell) {
    var text = cell.textContent.trim();
    if (!text || /^(–|not estimable|not identified|beyond follow-up)/.test(text)) { return null; }
    if (/^not reached/.test(text)) { return Infinity; }
    var plain = text.replace(/\u2212/g, "-").replace(/(\d),(?=\d{3}(?!\d))/g, "$1");
    var found = /^([<>≤≥]?)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)/i.exec(plain);
    if (!found) { return text; }
    var number = parseFloat(found[2]);
    // "<0.001" stands below 0.001 itself.
    return found[1] === "<" ? number * (1 - 1e-9) : found[1] === ">" ? number * (1 + 1e-9) : number;
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") { return a < b ? -1 : a > b ? 1 : 0; }
    return String(a).localeCompare(String(b), "en", { numeric: true, sensitivity: "base" });
  }

  function sortable(table) {
    var body = table.tBodies[0], head = table.tHead && table.tHead.rows[0];
    if (!body || !head || body.rows.length < 2) { return; }
    // A row set in belongs to the row above it and travels with it.
    var blocks = [];
    each("tr", function (row) {
      if (row.querySelector("th.inner") && blocks.length) { blocks[blocks.length - 1].push(row); }
      else { blocks.push([row]); }
    }, body);
    if (blocks.length < 2) { return; }
    Array.prototype.forEach.call(head.cells, function (th, column) {
      var button = document.createElement("button");
      button.type = "button";
      while (th.firstChild) { button.appendChild(th.firstChild); }
      th.appendChild(button);
      button.addEventListener("click", function () {
        var now = th.getAttribute("aria-sort");
        var way = now === "ascending" ? "descending" : now === "descending" ? "" : "ascending";
        each("th", function (other) { other.removeAttribute("aria-sort"); }, head);
        if (way) { th.setAttribute("aria-sort", way); }
        order(blocks, column, way).forEach(function (block) {
          block.forEach(function (row) { body.appendChild(row); });
        });
      });
    });
  }

  // Stable: equal rows keep the order of the document; rows that say nothing come last either way.
  function order(blocks, column, way) {
    if (!way) { return blocks; }
    var keyed = blocks.map(function (block, place) {
      return { block: block, place: place, key: cellKey(block[0].cells[column]) };
    });
    var said = keyed.filter(function (item) { return item.key !== null; });
    var numbers = said.filter(function (item) { return typeof item.key === "number"; });
    if (numbers.length * 2 > said.length) {
      keyed.forEach(function (item) { if (typeof item.key !== "number") { item.key = null; } });
    }
    keyed.sort(function (a, b) {
      if (a.key === null || b.key === null) {
        return (a.key === null) - (b.key === null) || a.place - b.place;
      }
      var found = compare(a.key, b.key);
      return (way === "descending" ? -found : found) || a.place - b.place;
    });
    return keyed.map(function (item) { return item.block; });
  }

  // --- search ----------------------------------------------------------------------------------

  function folded(text) {
    return text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase().trim();
  }

  // Everything on the page that is about one column: rows of tables by column, figures, sentences.
  function searched() {
    var items = [], parent = null;
    each("table.by-column tbody tr", function (row) {
      var cell = row.cells[0], inner = cell.classList.contains("inner");
      var item = { node: row, kind: "row", words: folded(cell.textContent), parent: null };
      if (inner) { item.parent = parent; } else { parent = item; }
      items.push(item);
    });
    each("[data-about]", function (node) {
      var kind = node.tagName === "FIGURE" ? "figure" : "sentence";
      items.push({ node: node, kind: kind, words: folded(node.getAttribute("data-about")) });
    });
    return items;
  }

  function search() {
    var tools = document.querySelector(".tools"), box = document.getElementById("search");
    var items = box ? searched() : [];
    if (!tools || !items.length) { return; }
    var count = document.getElementById("search-count"), matches = [], at = -1;
    tools.hidden = false;

    function show() {
      var wanted = folded(box.value), found = { row: 0, figure: 0, sentence: 0 };
      matches = [];
      at = -1;
      each(".hit", function (node) { node.classList.remove("hit"); });
      items.forEach(function (item) {
        item.own = !wanted || item.words.indexOf(wanted) >= 0;
        item.shown = item.own || Boolean(item.parent && item.parent.own);
      });
      items.forEach(function (item) {
        if (item.parent && item.own) { item.parent.shown = true; }
      });
      items.forEach(function (item) {
        item.node.classList.toggle("filtered", !item.shown);
        if (wanted && item.own) { matches.push(item.node); found[item.kind] += 1; }
      });
      each("table.by-column", function (table) {
        table.classList.toggle("none", !table.querySelector("tbody tr:not(.filtered)"));
      });
      count.textContent = !wanted ? "" : !matches.length ? "Nothing matches." :
        [[found.row, "row"], [found.figure, "figure"], [found.sentence, "sentence"]]
          .filter(function (part) { return part[0]; })
          .map(function (part) { return part[0] + " " + part[1] + (part[0] > 1 ? "s" : ""); })
          .join(", ") + (matches.length > 1 ? " match." : " matches.");
      mark();
    }

    box.addEventListener("input", show);
    box.addEventListener("keydown", function (event) {
      if (event.key === "Escape") { box.value = ""; show(); event.preventDefault(); }
      if (event.key === "Enter" && matches.length) {
        event.preventDefault();
        if (at >= 0) { matches[at].classList.remove("hit"); }
        at = (at + (event.shiftKey ? matches.length - 1 : 1)) % matches.length;
        unfold(matches[at]);
        matches[at].classList.add("hit");
        matches[at].scrollIntoView({ block: "center" });
        count.textContent = "Match " + (at + 1) + " of " + matches.length + ".";
      }
    });
  }

  // --- reading a figure ------------------------------------------------------------------------

  var tip = null;

  // A mark tied to a row of the figure's numbers shows that row: under the pointer, or by arrow keys.
  function readable(figure) {
    var drawn = figure.querySelector(".drawn"), table = figure.querySelector("details table");
    var svg = drawn && drawn.querySelector("svg");
    if (!svg || !table || !svg.querySelector("[data-row]")) { return; }
    var heads = Array.prototype.map.call(table.tHead.rows[0].cells, function (cell) {
      return cell.textContent;
    });
    // Marks stand for rows that are not set in, in the document's order whatever the sorting.
    var rows = Array.prototype.filter.call(table.tBodies[0].rows, function (row) {
      return !row.querySelector("th.inner");
    });
    var here = -1;

    function light(row) {
      here = row;
      svg.classList.toggle("reading", row >= 0);
      each("[data-row]", function (node) {
        node.classList.toggle("lit", Number(node.getAttribute("data-row")) === row);
      }, svg);
    }
    function tell(row, x, y) {
      light(row);
      if (!tip) {
        tip = document.createElement("div");
        tip.className = "tip";
        tip.setAttribute("role", "status");
        document.querySelector("main").appendChild(tip);
      }
      tip.textContent = "";
      Array.prototype.forEach.call(rows[row].cells, function (cell, i) {
        var line = document.createElement("span");
        line.textContent = (i ? heads[i] + ": " : "") + cell.textContent;
        tip.appendChild(line);
      });
      tip.hidden = false;
      var width = tip.offsetWidth, height = tip.offsetHeight;
      tip.style.left = Math.max(6, Math.min(x + 14, window.innerWidth - width - 8)) + "px";
      tip.style.top = (y + 18 + height > window.innerHeight ? Math.max(6, y - height - 10) : y + 18)
        + "px";
    }
    function hush() {
      light(-1);
      if (tip) { tip.hidden = true; }
    }

    svg.addEventListener("pointermove", function (event) {
      var node = event.target.closest && event.target.closest("[data-row]");
      var row = node ? Number(node.getAttribute("data-row")) : -1;
      if (row >= 0 && rows[row]) { tell(row, event.clientX, event.clientY); } else { hush(); }
    });
    svg.addEventListener("pointerleave", hush);
    drawn.tabIndex = 0;
    drawn.setAttribute("aria-keyshortcuts", "ArrowRight ArrowLeft");
    drawn.addEventListener("blur", hush);
    drawn.addEventListener("keydown", function (event) {
      var known = rows.map(function (_, i) { return i; }).filter(function (i) {
        return svg.querySelector('[data-row="' + i + '"]');
      });
      var step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") { hush(); }
      if (!step) { return; }
      event.preventDefault();
      var place = known.indexOf(here);
      place = place < 0 ? (step > 0 ? 0 : known.length - 1)
        : (place + step + known.length) % known.length;
      var box = svg.querySelector('[data-row="' + known[place] + '"]').getBoundingClientRect();
      tell(known[place], box.left + box.width / 2, box.top + box.height / 2);
    });
    rows.forEach(function (row, i) {
      row.addEventListener("pointerenter", function () { light(i); });
      row.addEventListener("pointerleave", function () { light(-1); });
    });
  }

  // --- light and dark --------------------------------------------------------------------------

  function theme() {
    var button = document.getElementById("theme"), names = ["as the system", "dark", "light"];
    if (!button) { return; }
    var at = 0;
    button.hidden = false;
    button.addEventListener("click", function () {
      at = (at + 1) % names.length;
      if (at) { document.documentElement.setAttribute("data-theme", names[at]); }
      else { document.documentElement.removeAttribute("data-theme"); }
      button.querySelector("span").textContent = names[at];
    });
  }
})();
