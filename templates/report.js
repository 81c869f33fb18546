"use strict";
// The page reads without any of this: it draws the charts, sorts the tables, switches the colours, hands out the data.
(() => {
  const byId = (id) => document.getElementById(id);
  const every = (selector, act) => document.querySelectorAll(selector).forEach(act);
  const say = (words) => { byId("said").textContent = words; };

  // A file of its own origin or a locked-down browser may refuse storage; then the choice lasts as long as the page.
  const remembered = () => { try { return localStorage.getItem("inferopt-theme"); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem("inferopt-theme", theme); } catch { /* not kept */ } };

  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => document.documentElement.dataset.theme;
  const isDark = () => (chosen() ? chosen() === "dark" : prefersDark.matches);
  const toggle = byId("theme");
  const showTheme = () => toggle.setAttribute("aria-pressed", String(isDark()));
  if (["dark", "light"].includes(remembered())) document.documentElement.dataset.theme = remembered();
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    remember(chosen());
    showTheme();
  });
  prefersDark.addEventListener("change", showTheme);
  showTheme();

  // What was not measured has an empty key and stands last, whichever way the rest is sorted.
  const key = (row, column) => {
    const cell = row.cells[column];
    // Without the detail that stands below it in small.
    const named = cell.querySelector("a, .badge");
    const words = (named ? [named] : [...cell.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE));
    const text = cell.dataset.sort ?? words.map((node) => node.textContent).join("").trim();
    return text === "" || text === "–" ? null : cell.classList.contains("n") ? Number(text) : text;
  };
  const compare = (one, other) =>
    typeof one === "number" && typeof other === "number"
      ? one - other
      : String(one).localeCompare(String(other), undefined, { numeric: true });
  const sort = (table, column, way) => {
    const keyed = [...table.tBodies[0].rows].map((row) => [key(row, column), row]);
    keyed.sort(([one], [other]) => {
      if (one === null || other === null) return (one === null) - (other === null);
      return way * compare(one, other);
    });
    table.tBodies[0].append(...keyed.map(([, row]) => row));
  };
  every("table[data-sortable]", (table) => {
    if (table.tBodies[0].rows.length < 2) return;
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", way === 1 ? "ascending" : "descending");
        sort(table, column, way);
        say(`Sorted by ${button.textContent}, ${way === 1 ? "ascending" : "descending"}.`);
      });
    });
  });

  const report = byId("report-json").textContent;
  const download = byId("download");
  download.hidden = false;
  download.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([report], { type: "application/json" }));
    link.download = "report.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  every("button.copy", (button) => {
    // The clipboard is there only where the page counts as secure; a file does in most browsers.
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", () =>
      navigator.clipboard.writeText(byId(button.dataset.copy).textContent).then(
        () => { button.dataset.done = "yes"; say("Copied."); setTimeout(() => delete button.dataset.done, 1500); },
        () => say("The browser did not allow copying."),
      ),
    );
  });

  // A printed page has no folds to open.
  addEventListener("beforeprint", () => every("details", (fold) => { fold.open = true; }));

  const plots = [...document.querySelectorAll(".plot")];
  if (!plots.length) return;
  const fail = (plot, reason) => { plot.dataset.state = "failed"; plot.textContent = `This chart could not be drawn: ${reason}`; };
  // The library travels packed. Unpacked it runs as an inline script, which the policy allows by its digest.
  const load = async () => {
    const packed = Uint8Array.from(atob(byId("charts-library").textContent), (letter) => letter.charCodeAt(0));
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(unpacked).text();
    document.head.append(script);
    if (!window.vegaEmbed) throw new Error("the charts' library did not start.");
  };
  const { config, models } = JSON.parse(byId("charts-json").textContent);
  const results = JSON.parse(report).results;
  // The longest series stand in the report's JSON once; a row says where, and what comes before it.
  const filled = (rows, result) => rows.map((row) => {
    if (!row.at) return row;
    const part = row.at.reduce((whole, step) => whole[step], result);
    return { ...row, points: row.cold ? [part.cold_call_ms, ...part[row.field]] : part[row.field] };
  });
  const draw = (plot) => {
    if (plot.dataset.state) return Promise.resolve();
    plot.dataset.state = "drawing";
    const { position, datasets, specs } = models[plot.dataset.model];
    const spec = specs[plot.dataset.chart];
    const options = {
      mode: "vega-lite", renderer: "svg", actions: false, ast: true, config, defaultStyle: false,
      tooltip: { disableDefaultStyle: true, theme: "page" },
    };
    // Only what it names is handed over: Vega keeps a copy of everything it gets.
    const text = JSON.stringify(spec);
    const named = Object.entries(datasets).filter(([name]) => text.includes(`"data":{"name":"${name}"}`));
    const wanted = Object.fromEntries(named.map(([name, rows]) => [name, filled(rows, results[position])]));
    const described = { ...spec, datasets: wanted, description: plot.getAttribute("aria-label") };
    return vegaEmbed(plot, described, options).then(
      () => { plot.dataset.state = "drawn"; },
      (error) => fail(plot, error.message),
    );
  };
  // What is looked at is drawn first, the rest when there is nothing else to do, so that printing finds all of it.
  const near = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
      near.unobserve(entry.target);
      draw(entry.target);
    }),
    { rootMargin: "400px" },
  );
  const whenIdle = (act) => (window.requestIdleCallback ? requestIdleCallback(act, { timeout: 500 }) : setTimeout(act, 50));
  const drawRest = (left) => { if (left.length) draw(left[0]).then(() => whenIdle(() => drawRest(left.slice(1)))); };
  load().then(
    () => { plots.forEach((plot) => near.observe(plot)); whenIdle(() => drawRest(plots)); },
    (error) => plots.forEach((plot) => fail(plot, error.message)),
  );
})();
