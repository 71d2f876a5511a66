"use strict";
/* Sorting, searching, and the map of files. Everything is put into the page as text, never as markup. */
(() => {
  const units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  const bytes = (n) => {
    if (n < 1024) return n === 1 ? "1 byte" : n + " bytes";
    let power = 1;
    while (n / 1024 ** power >= 1023.95 && power < units.length) power += 1;
    return (n / 1024 ** power).toFixed(1) + " " + units[power - 1];
  };
  const element = (name, attributes, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  /* Tables whose columns sort: a button in each head. */
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const button = element("button", { type: "button" }, head.textContent);
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending" ||
          (!head.hasAttribute("aria-sort") && head.classList.contains("number"));
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const value = (row) => {
          const cell = row.cells[column];
          return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim();
        };
        const keyed = [...table.tBodies[0].rows].map((row) => [value(row), row]);
        keyed.sort(([a], [b]) => (typeof a === "number" ? a - b : a < b ? -1 : a > b ? 1 : 0));
        if (down) keyed.reverse();
        table.tBodies[0].append(...keyed.map(([, row]) => row));
      });
    });
  }

  /* Fields that leave only the rows that contain what is typed, and open the groups that have some. */
  for (const field of document.querySelectorAll("input[data-filters]")) {
    const filtered = document.getElementById(field.dataset.filters);
    const rows = [...filtered.querySelectorAll("tbody tr")];
    const told = document.getElementById(field.dataset.told);
    field.addEventListener("input", () => {
      const wanted = field.value.toLowerCase();
      let left = 0;
      for (const row of rows) {
        row.hidden = wanted !== "" && !row.textContent.toLowerCase().includes(wanted);
        left += !row.hidden;
      }
      for (const group of filtered.querySelectorAll("details.group")) {
        group.open = wanted !== "";
        group.hidden = !group.querySelector("tbody tr:not([hidden])");
      }
      told.textContent = wanted ? left + " of " + rows.length : "";
    });
  }

  addEventListener("beforeprint", () => {
    for (const one of document.querySelectorAll("details")) one.open = true;
  });

  /* The map of files: a squarified treemap (Bruls, Huizing, van Wijk 2000), of which one directory is shown at a time.
     A node is [name, size, layer] or [name, size, layer, children]; one with a number for a name is so many small files. */
  const maps = [];
  for (const section of document.querySelectorAll(".files")) {
    const part = (name) => section.querySelector(name);
    const root = JSON.parse(part("script").textContent);
    const NAME = 0, SIZE = 1, LAYER = 2, BELOW = 3;
    const map = part(".map");
    const crumbs = part(".crumbs");
    const list = part(".listed tbody");
    const search = part("input");
    const told = part("[role=status]");
    const LISTED = 200;
    const LEAST = 5, MOST = 2500;
    let trail = [root];
    let known = 0;

    const isFolder = (node) => node.length > BELOW;
    const called = (node) => typeof node[NAME] === "number"
      ? node[NAME].toLocaleString("en") + (node[NAME] === 1 ? " small file" : " small files") : node[NAME];
    const kinds = section.dataset.kinds ? section.dataset.kinds.split(",") : null;
    const from = (node) => node[LAYER] < 0 ? "" : kinds ? ", " + kinds[node[LAYER]] : ", layer " + node[LAYER];
    const bySize = (a, b) => b[SIZE] - a[SIZE];

    /* The layer that most bytes below a directory come from: its colour where its contents are too small to be drawn. */
    const most = new Map();
    const weigh = (node) => {
      const sums = new Map();
      for (const child of node[BELOW]) {
        const layer = isFolder(child) ? weigh(child) : child[LAYER];
        sums.set(layer, (sums.get(layer) || 0) + child[SIZE]);
      }
      const best = [...sums].reduce((a, b) => (b[1] > a[1] ? b : a), [-1, -1])[0];
      most.set(node, best);
      return best;
    };
    if (isFolder(root)) weigh(root);

    const squarify = (nodes, x, y, width, height) => {
      const placed = [];
      const total = nodes.reduce((sum, node) => sum + node[SIZE], 0);
      if (!total || width <= 0 || height <= 0) return placed;
      const scale = (width * height) / total;
      let at = 0;
      while (at < nodes.length) {
        const side = Math.min(width, height);
        let sum = 0, end = at, worst = Infinity;
        while (end < nodes.length) {
          const area = nodes[end][SIZE] * scale;
          const next = sum + area;
          const most = nodes[at][SIZE] * scale;
          const ratio = Math.max((side * side * most) / (next * next), (next * next) / (side * side * area));
          if (ratio > worst) break;
          worst = ratio;
          sum = next;
          end += 1;
        }
        const thick = sum / side;
        let along = 0;
        for (; at < end; at += 1) {
          const long = (nodes[at][SIZE] * scale) / thick;
          placed.push(width >= height ? [nodes[at], x, y + along, thick, long] : [nodes[at], x + along, y, long, thick]);
          along += long;
        }
        if (width >= height) { x += thick; width -= thick; } else { y += thick; height -= thick; }
      }
      return placed;
    };

    const pen = element("canvas").getContext("2d");
    pen.font = "12px " + getComputedStyle(map).fontFamily;
    const shape = (name, attributes) => {
      const made = document.createElementNS(map.namespaceURI, name);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      return made;
    };
    const label = (text, x, y, room) => {
      if (room < 14) return null;
      let shown = text.length > 200 ? text.slice(0, 200) + "…" : text;
      let width = pen.measureText(shown).width;
      for (let left = shown.length; width > room && left > 1;) {
        left = Math.min(left - 1, Math.floor(left * room / width));
        shown = text.slice(0, left) + "…";
        width = pen.measureText(shown).width;
      }
      if (shown.length < 3 && shown !== text) return null;
      const made = shape("text", { x: x + 4, y: y + 14 });
      made.textContent = shown;
      return made;
    };

    /* A directory, and the ones below it as long as each is all that the one above has. */
    const only = (node) => {
      const chain = [node];
      while (isFolder(node) && node[BELOW].length === 1 && isFolder(node[BELOW][0])) chain.push(node = node[BELOW][0]);
      return chain;
    };

    /* How many bytes below a node match what is searched for. */
    let wanted = "";
    let matching = new Map();
    const look = () => {
      matching = new Map();
      const found = [];
      const walk = (node, path) => {
        const own = String(called(node)).toLowerCase().includes(wanted) || path.toLowerCase().includes(wanted);
        if (!isFolder(node)) {
          if (own) { matching.set(node, true); found.push([path, node]); }
          return own;
        }
        let any = false;
        for (const child of node[BELOW]) any = walk(child, path === "/" ? path + called(child) : path + "/" + called(child)) || any;
        if (any) matching.set(node, true);
        return any;
      };
      walk(root, "/");
      return found;
    };

    const draw = () => {
      const here = trail[trail.length - 1];
      const { width, height } = map.getBoundingClientRect();
      map.setAttribute("viewBox", "0 0 " + width + " " + height);
      map.replaceChildren();
      known = width;
      let drawn = 0;
      const cells = (node, ...box) => squarify([...(node[BELOW] || [])].filter((one) => one[SIZE]).sort(bySize), ...box);
      const place = (parent, first, x, y, w, h, depth) => {
        if (w < LEAST || h < LEAST || drawn >= MOST) return;
        drawn += 1;
        const chain = only(first);
        const node = chain[chain.length - 1];
        const name = chain.map(called).join("/");
        const folder = isFolder(node);
        const opened = folder && (depth < 3 || w * h > width * height / 12) && w > 40 && h > 40 && node[BELOW].some((one) => one[SIZE]);
        const group = shape("g", wanted && !matching.has(node) ? { class: "dim" } : {});
        const title = shape("title", {});
        title.textContent = name + ", " + bytes(node[SIZE]) + (folder ? "" : from(node));
        const layer = folder ? most.get(node) : node[LAYER];
        const colour = opened || layer < 0 ? "folder" : "l" + (layer % 8);
        const area = shape("rect", { x, y, width: w, height: h, class: colour });
        group.append(area, title);
        const shown = h > 18 ? label(name + (folder ? "/" : ""), x, y, w - 6) : null;
        if (shown) group.append(shown);
        if (folder && depth === 0) {
          area.setAttribute("role", "button");
          area.setAttribute("tabindex", "0");
          area.setAttribute("aria-label", "Open " + name + ", " + bytes(node[SIZE]));
          const open = () => go([...trail, ...chain]);
          group.setAttribute("class", (group.getAttribute("class") || "") + " open");
          group.addEventListener("click", open);
          area.addEventListener("keydown", (event) => {
            if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); }
          });
        }
        parent.append(group);
        if (!opened) return;
        /* What is too small to be drawn shows as one area, which would shine through what a search dims. */
        const rest = wanted || most.get(node) < 0 ? "folder" : "l" + (most.get(node) % 8);
        if (w > 6 && h > 24) group.append(shape("rect", { x: x + 2, y: y + 19, width: w - 4, height: h - 21, class: rest }));
        for (const [child, ...box] of cells(node, x + 2, y + 19, w - 4, h - 21)) place(group, child, ...box, depth + 1);
      };
      for (const [node, ...box] of cells(here, 0, 0, width, height)) place(map, node, ...box, 0);
    };

    const row = (name, node, open) => {
      const first = open ? element("button", { type: "button" }, name + "/") : name;
      if (open) first.addEventListener("click", open);
      return element("tr", {},
        element("td", { class: "main code" }, first),
        element("td", { class: "number", "data-label": "Size" }, bytes(node[SIZE])),
        element("td", { class: "number" + (isFolder(node) || node[LAYER] < 0 ? " empty" : ""), "data-label": "Layer" },
          isFolder(node) || node[LAYER] < 0 ? "" : kinds ? kinds[node[LAYER]] : String(node[LAYER])));
    };
    const go = (to, alone) => {
      trail = to;
      if (!alone) for (const other of maps) if (other.map !== map) other.follow(trail.slice(1).map(called));
      crumbs.replaceChildren(...trail.map((node, depth) => {
        const button = element("button", { type: "button" }, depth ? called(node) : "/");
        if (depth === trail.length - 1) button.setAttribute("aria-current", "page");
        button.addEventListener("click", () => go(trail.slice(0, depth + 1)));
        return button;
      }));
      show();
    };
    const show = () => {
      const here = trail[trail.length - 1];
      if (wanted) {
        const found = look();
        const size = found.reduce((sum, [, node]) => sum + node[SIZE], 0);
        told.textContent = found.length.toLocaleString("en") + (found.length === 1 ? " file, " : " files, ") + bytes(size) +
          (found.length > LISTED ? "; the largest " + LISTED + " are listed" : "");
        found.sort(([, a], [, b]) => bySize(a, b));
        list.replaceChildren(...found.slice(0, LISTED).map(([path, node]) => row(path, node)));
      } else {
        told.textContent = bytes(here[SIZE]) + (trail.length > 1 ? " in " + trail.slice(1).map(called).join("/") : "");
        const below = [...(here[BELOW] || [])].sort(bySize);
        list.replaceChildren(...below.slice(0, LISTED).map((node) =>
          row(called(node), node, isFolder(node) ? () => go([...trail, node]) : null)));
      }
      draw();
    };
    let waiting = 0;
    search.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => { wanted = search.value.trim().toLowerCase(); show(); }, 120);
    });
    search.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && search.value) { search.value = ""; wanted = ""; show(); }
    });
    map.addEventListener("keydown", (event) => {
      if (event.key === "Backspace" && trail.length > 1) { event.preventDefault(); go(trail.slice(0, -1)); }
    });
    new ResizeObserver(() => {
      const { width } = map.getBoundingClientRect();
      if (width !== known) draw();
    }).observe(map);
    const follow = (names) => {
      const path = [root];
      for (const name of names) {
        const next = (path[path.length - 1][BELOW] || []).find((one) => isFolder(one) && one[NAME] === name);
        if (!next) break;
        path.push(next);
      }
      go(path, true);
    };
    maps.push({ map, follow });
    go([root], true);
  }
})();
