"use strict";
(() => {
  const D = JSON.parse(document.getElementById("data").textContent);
  const N = D.eid.length, at = (id) => document.getElementById(id);
  const NARROWEST = 172, PRINTED = 200, HEIGHT = 334, GAP = 14, BINS = 36;
  const main = D.phenotypes, grid = at("grid");
  const colours = { M: "var(--men)", F: "var(--women)", "": "var(--all)" };

  const format = (value, phenotype) => {
    if (value === null) return "–";
    if (phenotype.percent) return (100 * value).toFixed(1) + " %";
    if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en");
    return value.toFixed(Math.abs(value) < 10 ? 3 : 1);
  };
  const beyond = (z, limit) => z !== null && Math.abs(z) > limit;
  const element = (name, attributes = {}, text = null) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== null) made.textContent = text;
    return made;
  };

  // What is unusual about a study, the most unusual first.
  const reasons = (i) => {
    const found = [];
    if (D.withheld[i]) found.push({ text: "withheld: " + D.withheld[i], far: true, size: 99 });
    for (const one of main)
      if (beyond(one.z[i], D.limit))
        found.push({ text: `z ${one.z[i].toFixed(1)}: ${one.title} ${format(one.values[i], one)}`, far: true, size: Math.abs(one.z[i]) });
    if (beyond(D.side_z[i], D.limit_of_sides))
      found.push({ text: `z ${D.side_z[i].toFixed(1)}: ${D.side[i]} left/right ${D.side_ratio[i].toFixed(2)}`, far: true, size: Math.abs(D.side_z[i]) });
    if (D.seam_z[i] !== null && D.seam_z[i] > D.limit)
      found.push({ text: `z ${D.seam_z[i].toFixed(1)}: seam visibility ${D.seam[i].toFixed(2)}`, far: true, size: D.seam_z[i] });
    found.sort((a, b) => b.size - a.size);
    for (const flag of D.flags[i]) found.push({ text: D.codes[flag], far: false, size: 0 });
    return found;
  };
  const distance = Array.from({ length: N }, (_, i) =>
    Math.max(
      0, ...main.map((one) => Math.abs(one.z[i] ?? 0)), D.seam_z[i] ?? 0,
      (Math.abs(D.side_z[i] ?? 0) * D.limit) / D.limit_of_sides, D.withheld[i] ? 99 : 0));

  // Decisions, kept by this browser until they are saved. A browser may refuse storage to a local file.
  const decisions = new Map(), store = "sarcomap-quality-" + D.key, rows = new Map();
  for (let i = 0; i < N; i++) rows.set(D.eid[i] + "|" + D.visit[i], i);
  let unsaved = false, remembers = true;
  try {
    for (const [key, decision] of JSON.parse(localStorage.getItem(store) || "[]"))
      if (rows.has(key)) decisions.set(rows.get(key), decision);
  } catch { remembers = false; }
  const remember = () => {
    try {
      localStorage.setItem(store, JSON.stringify([...decisions].map(([i, d]) => [D.eid[i] + "|" + D.visit[i], d])));
    } catch { remembers = false; }
    tell();
  };
  const tell = () => {
    const rejected = [...decisions.values()].filter((one) => one === "reject").length;
    at("decided").textContent = decisions.size.toLocaleString("en");
    at("decided-note").textContent = decisions.size ? `${rejected} rejected${unsaved ? ", not saved yet" : ""}` : "none yet";
  };
  addEventListener("beforeunload", (event) => { if (unsaved && !remembers) event.preventDefault(); });

  // Filters and order.
  let order = [], chosen = 0, range = null;
  const shows = {
    all: () => true,
    unusual: (i) => reasons(i).length > 0,
    flagged: (i) => D.flags[i].length > 0,
    outlier: (i) => main.some((one) => beyond(one.z[i], D.limit)),
    sides: (i) => beyond(D.side_z[i], D.limit_of_sides),
    seams: (i) => D.seam_z[i] !== null && D.seam_z[i] > D.limit,
    withheld: (i) => D.withheld[i] !== "",
    undecided: (i) => !decisions.has(i),
    accept: (i) => decisions.get(i) === "accept",
    reject: (i) => decisions.get(i) === "reject",
  };
  const sorts = [
    ["Most unusual first", (i) => -distance[i]],
    ["By eid", null],
    ["Left/right, most unusual first", (i) => -Math.abs(D.side_z[i] ?? 0)],
    ["Seams, most visible first", (i) => -(D.seam[i] ?? -1)],
    ...main.flatMap((one) => [
      [`${one.title}, lowest first`, (i) => one.values[i] ?? Infinity],
      [`${one.title}, highest first`, (i) => -(one.values[i] ?? -Infinity)],
    ]),
  ];
  sorts.forEach(([title], number) => at("sort").append(element("option", { value: number }, title)));
  const flagCounts = new Array(D.codes.length).fill(0);
  D.flags.forEach((flags) => flags.forEach((flag) => flagCounts[flag]++));
  D.codes.map((code, number) => [code, number]).sort((a, b) => flagCounts[b[1]] - flagCounts[a[1]]).forEach(([code, number]) => {
    at("flag").append(element("option", { value: number }, `${code} (${flagCounts[number]})`));
    const row = element("tr"), cell = element("th", { scope: "row" }), link = element("button", { class: "link", type: "button" }, code);
    link.addEventListener("click", () => { at("flag").value = number; at("show").value = "all"; choose(true); });
    cell.append(link);
    row.append(cell, element("td", { class: "n" }, flagCounts[number].toLocaleString("en")),
      element("td", { class: "n" }, ((100 * flagCounts[number]) / N).toFixed(1)));
    at("flags").append(row);
  });
  if (!D.codes.length) at("flags").append(element("tr"));
  if (!D.codes.length) at("flags").lastChild.append(element("td", { colspan: 3 }, "None"));

  const choose = (scroll = false) => {
    const flag = at("flag").value, sex = at("sex").value, text = at("search").value.trim(), show = shows[at("show").value];
    order = [];
    for (let i = 0; i < N; i++) {
      if (flag !== "" && !D.flags[i].includes(Number(flag))) continue;
      if (sex && D.sex[i] !== sex) continue;
      if (text && !D.eid[i].includes(text)) continue;
      if (range && !(range.values[i] !== null && range.values[i] >= range.low && range.values[i] <= range.high)) continue;
      if (show(i)) order.push(i);
    }
    const rank = sorts[at("sort").value][1];
    if (rank) { const ranks = new Map(order.map((i) => [i, rank(i)])); order.sort((a, b) => ranks.get(a) - ranks.get(b) || a - b); }
    chosen = 0;
    at("count").textContent = `${order.length.toLocaleString("en")} of ${N.toLocaleString("en")} studies`;
    at("empty").hidden = order.length > 0;
    at("range").hidden = !range;
    if (range) at("range").textContent = `${range.title} ${range.text} ×`;
    shown.forEach((card) => card.remove());
    shown.clear();
    draw();
    if (scroll) document.querySelector(".toolbar").scrollIntoView({ block: "start" });
  };

  // Only the cards in view exist, so that the page stays quick with any number of studies.
  const shown = new Map();
  let columns = 1, width = NARROWEST, printing = false;
  const dress = (card, i, place) => {
    const decision = decisions.get(i) || "";
    card.className = `study ${decision}${place === chosen ? " chosen" : ""}`;
    card.setAttribute("aria-selected", place === chosen);
    card.querySelector(".mark").textContent = decision === "accept" ? "accepted" : "rejected";
  };
  const draw = () => {
    if (printing) return;
    columns = Math.max(1, Math.floor((grid.clientWidth + GAP) / (NARROWEST + GAP)));
    width = Math.floor((grid.clientWidth + GAP) / columns - GAP);
    grid.style.height = Math.ceil(order.length / columns) * (HEIGHT + GAP) + "px";
    const top = -grid.getBoundingClientRect().top, step = HEIGHT + GAP;
    const first = Math.max(0, Math.floor(top / step) - 1) * columns;
    const last = Math.min(order.length, (Math.ceil((top + innerHeight) / step) + 1) * columns);
    for (const [place, card] of shown) if (place < first || place >= last) { card.remove(); shown.delete(place); }
    for (let place = first; place < last; place++) {
      if (!shown.has(place)) { const card = cardOf(order[place], place); shown.set(place, card); grid.append(card); }
      const card = shown.get(place);
      card.style.transform = `translate(${(place % columns) * (width + GAP)}px, ${Math.floor(place / columns) * step}px)`;
      card.style.width = width + "px";
      dress(card, order[place], place);
    }
    grid.setAttribute("aria-activedescendant", order.length ? "study-" + order[chosen] : "");
  };
  const address = (i, name) => D.base + [...D.folder[i].split("/").filter(Boolean), name].map(encodeURIComponent).join("/");
  const cardOf = (i, place) => {
    const card = element("div", { role: "option", id: "study-" + i }), frame = element("div", { class: "frame" });
    if (D.thumbnail[i]) {
      const image = element("img", { src: address(i, D.thumbnail[i]), alt: "", loading: "lazy", decoding: "async" });
      image.addEventListener("error", () => frame.replaceChildren("picture not found"));
      frame.append(image);
    } else frame.textContent = "no picture";
    const text = element("div", { class: "text" }), who = element("div", { class: "who" });
    who.append(element("span", {}, D.eid[i] + (D.visit[i] ? " · v" + D.visit[i] : "")));
    if (D.report[i]) who.append(element("a", { href: address(i, D.report[i]), target: "_blank", rel: "noopener" }, "report"));
    // Short enough for the narrowest card.
    const told = { tmv_cm3: (value) => (value / 1000).toFixed(1) + " L", pa_ratio: (value) => "P/A " + value.toFixed(3) };
    const numbers = main.filter((one) => one.key in told && one.values[i] !== null).map((one) => told[one.key](one.values[i]));
    text.append(who, element("div", { class: "numbers" }, [D.sex[i], ...numbers].filter(Boolean).join(" · ")));
    const list = element("ul"), found = reasons(i);
    found.slice(0, found.length > 3 ? 2 : 3).forEach((one) => list.append(element("li", one.far ? { class: "far", title: one.text } : { title: one.text }, one.text)));
    if (found.length > 3) list.append(element("li", { title: found.slice(2).map((one) => one.text).join("\n") }, `and ${found.length - 2} more`));
    text.append(list);
    card.append(frame, text, element("span", { class: "mark" }));
    card.addEventListener("click", () => { chosen = [...shown].find(([, one]) => one === card)[0]; grid.focus({ preventScroll: true }); draw(); });
    card.addEventListener("dblclick", () => open(i));
    return card;
  };

  // On paper the first studies stand one after another; those in view would be a few on many empty pages.
  addEventListener("beforeprint", () => {
    printing = true;
    shown.forEach((card) => card.remove());
    shown.clear();
    grid.style.height = "auto";
    order.slice(0, PRINTED).forEach((i, place) => {
      const card = cardOf(i, place);
      card.querySelector("img")?.setAttribute("loading", "eager");
      dress(card, i, place);
      shown.set(place, card);
      grid.append(card);
    });
    const first = order.length > PRINTED ? `The first ${PRINTED} of ` : "";
    at("printed").textContent = `${first}${order.length.toLocaleString("en")} studies, ${sorts[at("sort").value][0].toLowerCase()}`;
  });
  addEventListener("afterprint", () => {
    printing = false;
    shown.forEach((card) => card.remove());
    shown.clear();
    draw();
  });
  const open = (i) => { if (D.report[i]) window.open(address(i, D.report[i]), "_blank", "noopener"); };

  // Histograms. The lowest and the highest bar hold what is beyond them.
  const svg = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const histogram = (one) => {
    const sorted = one.values.filter((value) => value !== null).sort((a, b) => a - b);
    const box = element("div", { class: "histogram" }), head = element("h3", {}, one.title);
    const median = sorted[Math.floor(sorted.length / 2)];
    head.append(element("span", {}, `median ${format(median, one)}${one.unit ? " " + one.unit : ""}`));
    const low = sorted[Math.floor(0.002 * sorted.length)], high = sorted[Math.ceil(0.998 * sorted.length) - 1];
    const width = (high - low) / BINS || 1, bins = Array.from({ length: BINS }, () => ({ M: 0, F: 0, "": 0 }));
    one.values.forEach((value, i) => {
      if (value !== null) bins[Math.min(BINS - 1, Math.max(0, Math.floor((value - low) / width)))][D.sex[i]]++;
    });
    const tallest = Math.max(...bins.map((bin) => bin.M + bin.F + bin[""]));
    const picture = svg("svg", { viewBox: `0 0 ${BINS * 10} 92`, preserveAspectRatio: "none", role: "img", "aria-label": one.title });
    bins.forEach((bin, number) => {
      let y = 92;
      const from = number ? low + number * width : -Infinity, to = number < BINS - 1 ? low + (number + 1) * width : Infinity;
      const text = `${format(low + number * width, one)} to ${format(low + (number + 1) * width, one)}`;
      for (const sex of ["", "F", "M"]) {
        const height = (88 * bin[sex]) / tallest;
        y -= height;
        if (height) picture.append(svg("rect", { class: "bar", x: number * 10 + 0.5, y, width: 9, height, fill: colours[sex] }));
      }
      const hit = svg("rect", { class: "bar", x: number * 10, y: 0, width: 10, height: 92, fill: "transparent" });
      hit.append(svg("title", {}));
      hit.firstChild.textContent = `${text}: ${bin.M + bin.F + bin[""]} studies`;
      hit.addEventListener("click", () => {
        document.querySelectorAll("rect.chosen").forEach((mark) => mark.remove());
        range = { title: one.title, values: one.values, low: from, high: to, text };
        picture.append(svg("rect", { class: "chosen", x: number * 10, y: 0, width: 10, height: 92 }));
        choose(true);
      });
      picture.append(hit);
    });
    const axis = element("div", { class: "axis" });
    axis.append(element("span", {}, format(low, one)), element("span", {}, format(high, one)));
    box.append(head, picture, axis);
    at("histograms").append(box);
  };
  main.forEach(histogram);

  // Keys.
  const move = (to) => {
    if (!order.length) return;
    chosen = Math.min(order.length - 1, Math.max(0, to));
    const top = grid.getBoundingClientRect().top + scrollY + Math.floor(chosen / columns) * (HEIGHT + GAP);
    const bar = getComputedStyle(document.querySelector(".toolbar")).position === "sticky" ? document.querySelector(".toolbar").offsetHeight : 0;
    if (top - bar - 8 < scrollY) scrollTo({ top: top - bar - 8 });
    else if (top + HEIGHT + 8 > scrollY + innerHeight) scrollTo({ top: top + HEIGHT + 8 - innerHeight });
    draw();
  };
  const decide = (decision) => {
    if (!order.length) return;
    if (decision) decisions.set(order[chosen], decision); else decisions.delete(order[chosen]);
    unsaved = true;
    remember();
    if (decision) move(chosen + 1); else draw();
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || at("keys").open) return;
    if (event.target.matches("input, select, textarea")) { if (event.key === "Escape") event.target.blur(); return; }
    const onControl = event.target.matches("button, a");
    const actions = {
      a: () => decide("accept"), r: () => decide("reject"), u: () => decide(null),
      ArrowRight: () => move(chosen + 1), ArrowLeft: () => move(chosen - 1),
      ArrowDown: () => move(chosen + columns), ArrowUp: () => move(chosen - columns),
      Home: () => move(0), End: () => move(order.length - 1),
      "/": () => at("search").focus(), "?": () => at("keys").showModal(),
      ...(onControl ? {} : { Enter: () => order.length && open(order[chosen]) }),
    };
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (action) { event.preventDefault(); action(); }
  });

  // Decisions as a file.
  const cells = (line) => [...line.matchAll(/(?:"((?:[^"]|"")*)"|([^,]*))(?:,|$)/g)].map((one) => one[1]?.replaceAll('""', '"') ?? one[2]);
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  at("save").addEventListener("click", () => {
    const lines = ["eid,visit,decision,reasons"];
    for (const [i, decision] of [...decisions].sort((a, b) => a[0] - b[0]))
      lines.push([D.eid[i], D.visit[i], decision, reasons(i).map((one) => one.text).join("; ")].map(quoted).join(","));
    const link = element("a", { download: "quality_decisions.csv", href: URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    unsaved = false;
    tell();
  });
  at("load").addEventListener("click", () => at("file").click());
  at("file").addEventListener("change", async () => {
    const text = await at("file").files[0].text();
    for (const line of text.split(/\r?\n/).slice(1)) {
      const [eid, visit, decision] = cells(line), i = rows.get(eid + "|" + visit);
      if (i !== undefined && (decision === "accept" || decision === "reject")) decisions.set(i, decision);
    }
    at("file").value = "";
    remember();
    choose();
  });

  for (const id of ["show", "flag", "sex", "sort"]) at(id).addEventListener("change", () => choose());
  at("search").addEventListener("input", () => choose());
  at("range").addEventListener("click", () => { range = null; document.querySelectorAll("rect.chosen").forEach((mark) => mark.remove()); choose(); });
  at("help").addEventListener("click", () => at("keys").showModal());
  let waiting = false;
  const later = () => { if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; draw(); }); } };
  addEventListener("scroll", later, { passive: true });
  addEventListener("resize", later);
  tell();
  choose();
})();
