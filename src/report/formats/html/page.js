"use strict";
(() => {
  const NAME = 0, BYTES = 1, FILES = 2, CLASS = 3, PARTS = 4;
  // Areas below this many square pixels, and levels below this one, are not drawn.
  const SMALLEST = 60, DEEPEST = 4, HEADING = 17;
  // Most areas within areas, and most parts of one area: a browser takes its time for many elements.
  const MOST = 1000;

  const size = (bytes) => {
    let unit = 0, number = bytes;
    const units = ["B", "kB", "MB", "GB", "TB"];
    while (number >= 999.95 && unit < units.length - 1) { number /= 1000; unit += 1; }
    return `${unit ? number.toFixed(1) : number} ${units[unit]}`;
  };

  // The parts of an area, the largest first. Where there are too many, one that opens nothing stands for the smallest.
  const fewest = (parts) => {
    if (parts.length <= MOST) return parts;
    const rest = parts.slice(MOST - 1), kind = rest[0][CLASS];
    const sum = (field) => rest.reduce((all, part) => all + part[field], 0);
    const isAlike = rest.every((part) => part[CLASS] === kind);
    const more = [`${rest.length} more`, sum(BYTES), sum(FILES), isAlike ? kind : null];
    return [...parts.slice(0, MOST - 1), more].sort((a, b) => b[BYTES] - a[BYTES]);
  };

  // Squarified treemap (Bruls, Huizing, van Wijk 2000): rows along the shorter side, as square as they get.
  const layout = (parts, total, box) => {
    const placed = [];
    let { x, y, w, h } = box, rest = total, start = 0;
    while (start < parts.length && rest > 0) {
      const side = Math.min(w, h), scale = (w * h) / rest;
      let end = start, sum = 0, worst = Infinity;
      for (; end < parts.length; end += 1) {
        const bytes = parts[end][BYTES], next = sum + bytes;
        const thick = (next * scale) / side;
        const least = (bytes * scale) / thick, most = (parts[start][BYTES] * scale) / thick;
        const ratio = Math.max(most / thick, thick / least);
        if (ratio > worst) break;
        worst = ratio; sum = next;
      }
      const thick = side ? (sum * scale) / side : 0;
      let along = 0;
      for (let index = start; index < end; index += 1) {
        const long = thick ? (parts[index][BYTES] * scale) / thick : 0;
        placed.push([parts[index], w >= h ? { x, y: y + along, w: thick, h: long } : { x: x + along, y, w: long, h: thick }]);
        along += long;
      }
      if (w >= h) { x += thick; w -= thick; } else { y += thick; h -= thick; }
      rest -= sum; start = end;
    }
    return placed;
  };

  class Treemap {
    constructor(element, titles) {
      this.element = element;
      this.titles = titles;
      this.nav = element.querySelector("nav");
      this.areas = element.querySelector(".areas");
      this.said = element.querySelector(".said");
      this.path = [JSON.parse(element.querySelector("script").textContent)];
      this.shown = new Map();
      this.parts = new Map();
      this.areas.addEventListener("click", (event) => this.open(event.target));
      this.areas.addEventListener("pointerover", (event) => this.say(event.target));
      this.areas.addEventListener("focusin", (event) => this.say(event.target));
      this.areas.addEventListener("keydown", (event) => this.key(event));
      new ResizeObserver(() => this.resize()).observe(this.areas);
      this.draw();
    }

    get top() { return this.path[this.path.length - 1]; }

    partsOf(area) {
      if (!this.parts.has(area)) this.parts.set(area, fewest(area[PARTS] || []));
      return this.parts.get(area);
    }

    draw() {
      performance.mark("pycull-draw");
      this.shown.clear();
      const pieces = document.createDocumentFragment();
      const box = { x: 0, y: 0, w: this.areas.clientWidth, h: this.areas.clientHeight };
      this.drawn = box;
      this.left = MOST;
      this.place(this.top, box, [], pieces);
      const first = pieces.firstElementChild;
      if (first) first.tabIndex = 0;
      this.areas.replaceChildren(pieces);
      this.crumbs();
      this.tell(this.path);
    }

    resize() {
      // The observer also tells of the size at its start.
      if (this.areas.clientWidth === this.drawn.w && this.areas.clientHeight === this.drawn.h) return;
      const way = this.shown.get(document.activeElement);
      this.draw();
      if (!way) return;
      // What had the focus, or where that is too small now what it lies in.
      const pieces = new Map([...this.shown].map(([piece, inside]) => [inside[inside.length - 1], piece]));
      const area = way.findLast((part) => pieces.has(part));
      this.focus(pieces.get(area), { preventScroll: true });
    }

    place(area, box, way, pieces) {
      for (const [part, at] of layout(this.partsOf(area), area[BYTES], box)) {
        // What lies directly in the one that is open is always there, however small.
        if (way.length && (at.w * at.h < SMALLEST || this.left <= 0)) continue;
        this.left -= 1;
        const inside = [...way, part];
        pieces.append(this.piece(part, at, inside));
        const room = { x: at.x + 2, y: at.y + HEADING, w: at.w - 4, h: at.h - HEADING - 2 };
        if (part[PARTS] && inside.length < DEEPEST && this.left > 0 && room.w > 24 && room.h > 12) this.place(part, room, inside, pieces);
      }
    }

    piece(part, at, inside) {
      const piece = document.createElement("div");
      piece.className = `area ${part[CLASS] === null ? "" : `c${part[CLASS]}`} ${part[PARTS] ? "opens" : ""}`;
      piece.setAttribute("role", "button");
      piece.setAttribute("aria-label", `${part[NAME]}, ${size(part[BYTES])}`);
      piece.tabIndex = -1;
      piece.dataset.depth = inside.length;
      piece.dataset.bytes = part[BYTES];
      piece.style.cssText = `left:${at.x}px;top:${at.y}px;width:${at.w}px;height:${at.h}px`;
      if (at.w > 40 && at.h > 14) piece.textContent = `${part[NAME]} ${at.w > 140 ? size(part[BYTES]) : ""}`;
      this.shown.set(piece, inside);
      return piece;
    }

    open(piece) {
      const way = this.shown.get(piece);
      if (!way) return;
      performance.mark("pycull-click");
      // One step in, towards what was clicked.
      const step = way.find((area) => area[PARTS]);
      if (step) { this.path.push(step); this.draw(); this.focus(); }
      performance.measure("pycull-open", "pycull-click");
    }

    close() {
      if (this.path.length > 1) { this.path.pop(); this.draw(); this.focus(); }
    }

    focus(piece = this.areas.firstElementChild, options = {}) {
      if (!piece) return;
      for (const other of this.areas.querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
      piece.tabIndex = 0;
      piece.focus(options);
    }

    key(event) {
      const pieces = [...this.areas.children], here = pieces.indexOf(event.target);
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (step) this.focus(pieces[(here + step + pieces.length) % pieces.length]);
      else if (event.key === "Enter" || event.key === " ") this.open(event.target);
      else if (event.key === "Escape" || event.key === "Backspace") this.close();
      else if (event.key === "Home") this.focus();
      else return;
      event.preventDefault();
    }

    say(piece) {
      const way = this.shown.get(piece);
      if (way) this.tell([...this.path, ...way]);
    }

    tell(way) {
      const area = way[way.length - 1], whole = this.path[0];
      const share = whole[BYTES] ? (100 * area[BYTES]) / whole[BYTES] : 0;
      const kind = area[CLASS] === null ? "" : `, ${this.titles[area[CLASS]]}`;
      const files = area[FILES] === 1 ? "1 file" : `${area[FILES]} files`;
      const names = way.slice(1).map((part) => part[NAME]).join(" › ") || whole[NAME];
      this.said.textContent = `${names}: ${size(area[BYTES])}, ${share.toFixed(1)} % of the image, ${files}${kind}`;
    }

    crumbs() {
      this.nav.replaceChildren(...this.path.map((area, index) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = `${index ? "› " : ""}${area[NAME]} ${size(area[BYTES])}`;
        button.addEventListener("click", () => { this.path.length = index + 1; this.draw(); this.focus(); });
        return button;
      }));
    }
  }

  // Tables with many rows can be searched; by the kind of row, where their first column has only a few words.
  const FEW_ROWS = 12, MOST_KINDS = 12;

  const element = (name, fields, ...children) => {
    const made = Object.assign(document.createElement(name), fields);
    made.append(...children);
    return made;
  };

  const addFilter = (table) => {
    const rows = [...table.tBodies[0].rows];
    if (rows.length < FEW_ROWS) return;
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const kinds = rows.map((row) => row.cells[0].textContent);
    const search = element("input", { type: "search", placeholder: "filter rows", ariaLabel: "filter rows" });
    const shown = element("output", {});
    const filter = element("div", { className: "filter" }, search);
    const each = [...new Set(kinds)], heading = table.tHead.rows[0].cells[0].textContent;
    const select = element("select", { ariaLabel: heading }, new Option(`any ${heading}`, ""));
    if (each.length > 1 && each.length <= MOST_KINDS && !each.includes("")) {
      for (const kind of each) select.append(new Option(`${kind} (${kinds.filter((it) => it === kind).length})`, kind));
      filter.append(select);
    }
    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      rows.forEach((row, index) => {
        const fits = (!select.value || kinds[index] === select.value) && words.every((word) => texts[index].includes(word));
        row.hidden = !fits;
        count += fits;
      });
      shown.textContent = count < rows.length ? `${count} of ${rows.length}` : "";
    };
    search.addEventListener("input", apply);
    select.addEventListener("change", apply);
    filter.append(shown);
    table.parentElement.before(filter);
  };

  const titles = JSON.parse(document.body.dataset.classes);
  for (const element of document.querySelectorAll(".map")) element.treemap = new Treemap(element, titles);
  for (const table of document.querySelectorAll("table")) addFilter(table);
  performance.measure("pycull-load");
})();
