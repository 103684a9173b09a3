// Sorting and copying of the table of structures.
(() => {
  const table = document.getElementById("structures");
  const copy = document.getElementById("copy");
  if (!table) return;
  const original = [...table.tBodies].map((body) => [body, [...body.rows]]);
  const rows = original.flatMap(([, all]) => all.filter((row) => !row.classList.contains("group")));
  const flat = document.createElement("tbody");
  const number = (row, column) => row.cells[column].dataset.v ?? row.cells[column].textContent;

  function sort(heading, column) {
    const was = heading.getAttribute("aria-sort");
    const next = was === "descending" ? "ascending" : was === "ascending" ? null : "descending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    flat.remove();
    for (const [body, all] of original) { body.append(...all); table.append(body); }
    if (!next) return;
    heading.setAttribute("aria-sort", next);
    const sign = next === "ascending" ? 1 : -1;
    const sorted = [...rows].sort((a, b) => {
      const x = number(a, column), y = number(b, column);
      if (x === "" || y === "") return (x === "") - (y === "");
      return sign * (isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y);
    });
    for (const [body] of original) body.remove();
    flat.replaceChildren(...sorted);
    table.append(flat);
  }
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = heading.querySelector("button");
    if (button) button.addEventListener("click", () => sort(heading, column));
  });

  copy.hidden = false;
  copy.addEventListener("click", async () => {
    const columns = [...table.tHead.rows[0].cells].map((cell, n) => [n, cell.dataset.csv]).filter(([, key]) => key);
    const lines = [columns.map(([, key]) => key).join(",")];
    for (const row of rows) lines.push(columns.map(([n]) => number(row, n).trim()).join(","));
    const text = lines.join("\n") + "\n";
    try { await navigator.clipboard.writeText(text); } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy as CSV"; }, 1500);
  });
})();
