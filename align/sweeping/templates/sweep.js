(() => {
  // Sorting: a click on a heading, numbers as numbers; what has no value stays at the end.
  const table = document.getElementById("jobs");
  const body = table && table.tBodies[0];
  const heads = table ? [...table.tHead.rows[0].cells] : [];
  const key = (row, i) => row.cells[i].dataset.value ?? row.cells[i].textContent.trim();
  heads.forEach((head, i) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "ascending" : "descending");
      const rows = [...body.rows].filter((row) => row.dataset.rank);
      rows.sort((a, b) => {
        const [x, y] = [key(a, i), key(b, i)];
        if (x === "" || y === "") return (x === "") - (y === "");
        const numeric = x !== "" && y !== "" && !isNaN(x) && !isNaN(y);
        const order = numeric ? x - y : x.localeCompare(y);
        return down ? order : -order;
      });
      body.append(...rows);
    });
  });
  // A job is one thing in all plots: what is pointed at in one is marked in the others.
  const parts = document.querySelectorAll("[data-rank]");
  const light = (rank) => {
    parts.forEach((part) => part.classList.toggle("lit", rank !== null && part.dataset.rank === rank));
    document.querySelectorAll(".lines").forEach((lines) => lines.classList.toggle("picked", rank !== null));
  };
  parts.forEach((part) => {
    part.addEventListener("pointerenter", () => light(part.dataset.rank));
    part.addEventListener("pointerleave", () => light(null));
  });
  const copy = document.getElementById("copy");
  if (copy && navigator.clipboard) {
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById("again").textContent);
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    });
  }
})();
