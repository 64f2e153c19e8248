"use strict";
// Asks the questions that `usage/panels` lists, at the endpoint that anybody can ask, and draws the answers.

const filters = document.getElementById("filters");
const AT_ONCE = 2; // as many as the server answers at a time
let round = 0; // answers to filters that have changed since are dropped

const whole = new Intl.NumberFormat("en");
const dollars = new Intl.NumberFormat("en", { style: "currency", currency: "USD", maximumSignificantDigits: 4 });
const TITLES = {
  runs: "runs", calls: "model calls", input_tokens: "input tokens", output_tokens: "output tokens",
  total_tokens: "tokens", cost_usd: "cost", unpriced_calls: "calls without a price",
  estimated_calls: "calls with estimated tokens",
};
const DRAWN = {
  by_day: (rows) => [
    chart(stacked(rows, "total_tokens"), "tokens"),
    rows.some((row) => row.cost_usd !== null) ? chart(stacked(rows, "cost_usd"), "US dollars") : null,
  ],
  by_model: (rows) => [chart([across(rows, (row) => row.model, "total_tokens")], "tokens", true)],
  by_caller: (rows) => [chart([across(rows, callerOf, "total_tokens")], "tokens", true)],
  latency: (rows) => [chart(["p50_ms", "p95_ms", "p99_ms"].map((name) => upright(rows, name)), "milliseconds")],
  outcomes: (rows) => [chart([across(rows, outcomeOf, "total_tokens")], "tokens", true)],
};

function element(tag, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children.filter((child) => child !== null));
  return made;
}

const callerOf = (row) => (row.caller_name ? `${row.caller}: ${row.caller_name}` : row.caller);
const outcomeOf = (row) => (row.repeated ? `${row.run_status} (repeated)` : row.run_status);

function across(rows, label, measure) {
  const upwards = [...rows].reverse();
  return { type: "bar", orientation: "h", x: upwards.map((row) => row[measure]), y: upwards.map(label) };
}

function upright(rows, measure) {
  return { type: "bar", name: measure.replace("_ms", ""), x: rows.map((row) => row.model), y: rows.map((row) => row[measure]) };
}

function stacked(rows, measure) {
  const models = [...new Set(rows.map((row) => row.model))];
  return models.map((model) => {
    const own = rows.filter((row) => row.model === model);
    return { type: "bar", name: model, x: own.map((row) => row.day), y: own.map((row) => row[measure]) };
  });
}

const DAY = 86_400_000;
const TEXTS = new Set(["provider", "model", "caller", "caller_name", "thread_id", "run_status", "repeated", "unpriced_reason"]);

/** An axis of days, with a dozen names at most, whatever days are missing. */
function days(traces) {
  const all = traces.flatMap((trace) => trace.x).map((day) => Date.parse(day));
  const span = (Math.max(...all) - Math.min(...all)) / DAY + 1;
  return { type: "date", tickformat: "%b %-d", dtick: DAY * Math.ceil(span / 12), tick0: Math.min(...all) };
}

function chart(traces, unit, sideways = false) {
  const box = element("div", { className: "chart" });
  if (sideways) box.style.height = `${5 + 2.2 * Math.max(2, traces[0].x.length)}rem`;
  const ink = getComputedStyle(document.body).color;
  const named = { title: { text: unit }, gridcolor: "#8883", automargin: true };
  const isTime = traces[0].x.some((one) => /^\d{4}-\d\d-\d\d$/.test(one));
  const plain = { automargin: true, gridcolor: "#8883", ...(isTime ? days(traces) : { type: "category" }) };
  const layout = {
    bargap: 0.35, barmode: unit === "milliseconds" ? "group" : "stack", margin: { t: 10, r: 10, b: 40, l: 50 }, font: { color: ink },
    paper_bgcolor: "transparent", plot_bgcolor: "transparent", legend: { orientation: "h", y: -0.2 },
    xaxis: sideways ? named : plain, yaxis: sideways ? plain : named,
  };
  box.draw = () => Plotly.newPlot(box, traces, layout, { responsive: true, displaylogo: false, displayModeBar: false });
  return box;
}

function shown(name, value) {
  if (value === null) return "–";
  if (name === "cost_usd") return dollars.format(value);
  if (typeof value === "number" || /^-?\d{16,}$/.test(value)) return whole.format(value);
  return String(value);
}

function table(columns, rows) {
  const cell = (tag, name, text) => element(tag, { className: TEXTS.has(name) ? "" : "number" }, text);
  return element("div", { className: "rows" }, element("table", {},
    element("thead", {}, element("tr", {}, ...columns.map((name) => cell("th", name, name.replaceAll("_", " "))))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...columns.map((name) => cell("td", name, shown(name, row[name]))))))));
}

function wanted() {
  const given = new FormData(filters);
  document.getElementById("own").hidden = given.get("days") !== "own";
  const day = (before) => new Date(Date.now() - before * 86_400_000).toISOString().slice(0, 10);
  const days = Number(given.get("days"));
  const own = given.get("days") === "own";
  return {
    since: own ? given.get("since") || null : days ? day(days - 1) : null,
    until: own ? given.get("until") || null : null,
    assistant_id: given.get("assistant_id") || null,
  };
}

async function ask(sql, params) {
  const used = Object.fromEntries(Object.entries(params).filter(([name]) => sql.includes(`$${name}`)));
  for (;;) {
    const answer = await fetch("analytics/query", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ sql, params: used, timeout_s: 60 }),
    });
    const told = await answer.json();
    if (answer.status === 429) {
      await new Promise((resolve) => setTimeout(resolve, 1000 * Number(answer.headers.get("retry-after") || 1)));
      continue;
    }
    if (!answer.ok) throw new Error(told.detail);
    const columns = told.columns.map((column) => column.name);
    return { columns, rows: told.rows.map((row) => Object.fromEntries(columns.map((name, n) => [name, row[n]]))) };
  }
}

function showTotals({ rows: [row] }) {
  const tiles = Object.entries(TITLES).map(([name, title]) =>
    element("div", { className: "total" }, element("b", {}, shown(name, row[name])), element("small", {}, title)));
  document.getElementById("totals").replaceChildren(...tiles);
  document.getElementById("empty").hidden = row.calls > 0;
  document.getElementById("panels").hidden = row.calls === 0;
}

async function fill(panel, box, params, mine) {
  const body = box.querySelector(".body");
  try {
    const answer = await ask(panel.sql, params);
    if (mine !== round) return;
    if (panel.name === "totals") showTotals(answer);
    const charts = answer.rows.length && DRAWN[panel.name] ? DRAWN[panel.name](answer.rows) : [];
    const listed = ["by_day", "totals"].includes(panel.name) ? null : table(answer.columns, answer.rows);
    body.replaceChildren(...(answer.rows.length ? [...charts, listed] : ["Nothing in this time."]).filter(Boolean));
    for (const drawn of charts) drawn?.draw();
  } catch (error) {
    if (mine === round) body.replaceChildren(element("p", { className: "fault" }, String(error.message)));
  }
}

function boxOf(panel) {
  return element("section", { className: "panel", id: `panel-${panel.name}` },
    element("h2", {}, panel.title), element("div", { className: "body" }, "…"),
    element("details", {}, element("summary", {}, "SQL"), element("pre", {}, panel.sql)));
}

async function show(panels) {
  const mine = ++round;
  const params = wanted();
  document.body.dataset.state = "asking";
  const waiting = panels.map((panel) => [panel, document.getElementById(`panel-${panel.name}`)]);
  const next = async () => {
    for (let one = waiting.shift(); one && mine === round; one = waiting.shift()) await fill(...one, params, mine);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
  if (mine === round) document.body.dataset.state = "shown";
}

async function start() {
  const panels = await (await fetch("usage/panels")).json();
  const { sql } = panels.find((panel) => panel.name === "assistants");
  const asked = panels.filter((panel) => panel.name !== "assistants");
  document.getElementById("panels").replaceChildren(...asked.map(boxOf));
  ask(sql, {}).then(({ rows }) => {
    filters.assistant_id.append(...rows.map((row) => new Option(row.graph_id ?? row.assistant_id, row.assistant_id)));
  });
  filters.addEventListener("change", () => show(asked));
  filters.addEventListener("submit", (event) => event.preventDefault());
  await show(asked);
}

start();
