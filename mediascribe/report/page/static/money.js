// The money side: tiles, charts and tables.

const STATUSES = ["ok", "truncated", "refused", "failed", "skipped"];
const STATUS_COLOURS = { ok: "good", truncated: "warn", refused: "odd", failed: "bad", skipped: "series-7" };
const figures = read("money");

const MEASURES = [["cost_usd", "Cost"], ["per_1000", "Per 1,000"], ["wasted_usd", "Wasted"], ["rows", "Rows"]];
const SPLITS = [["model", "Model"], ["media_kind", "Kind"]];
const showing = { measure: "cost_usd", split: "model" };
const charts = {};

/** The values of a series: dollars per 1,000 rows are worked out, over the rows that have a price. */
function values(series, measure) {
  if (measure !== "per_1000") return series[measure];
  return series.cost_usd.map((cost, day) => {
    const priced = (series.rows[day] || 0) - (series.unpriced_rows[day] || 0);
    return cost === null || priced <= 0 ? null : (1000 * cost) / priced;
  });
}

const amount = (measure, value) => (measure === "rows" ? whole(value) : usd(value));

function tile(label, value, ...under) {
  return make("div", { class: "tile" }, make("div", { class: "label" }, label),
    make("div", { class: "value" }, value), ...under.map((line) => (typeof line === "string" ? make("div", { class: "under" }, line) : line)));
}

function showTiles() {
  const total = figures.total, month = figures.forecast;
  const parts = STATUSES.filter((status) => total[status]);
  const stack = make("div", { class: "stack" }, ...parts.map((status) =>
    make("i", { title: `${status} ${whole(total[status])}`, colour: `var(--${STATUS_COLOURS[status]})`, width: `${(100 * total[status]) / total.rows}%` })));
  const tiles = [
    tile("Cost", usd(total.cost_usd), `${short(total.prompt_tokens)} tokens in, ${short(total.completion_tokens)} out`),
    tile("Per 1,000 rows", usd(total.usd_per_1000_rows), total.unpriced_rows ? `over the ${whole(total.rows - total.unpriced_rows)} rows that have a price` : `over all ${whole(total.rows)} rows${total.shared_rows ? ", asked or not" : ""}`),
    tile("Wasted", usd(total.wasted_usd), total.cost_usd ? `${share(total.wasted_usd || 0, total.cost_usd)} of the cost: failed, cut, asked again` : "failed, cut, asked again"),
    tile("Rows", whole(total.rows), stack, parts.map((status) => `${status} ${whole(total[status])}`).join(", ")),
  ];
  if (total.cached_saving_usd) tiles.push(tile("Saved by cached tokens", usd(total.cached_saving_usd), `${short(total.cached_tokens)} tokens from the cache`));
  if (total.shared_rows) tiles.push(tile("Saved by asking once", usd(total.shared_saving_usd), `${whole(total.shared_rows)} ${total.shared_rows === 1 ? "row has" : "rows have"} the answer of another`));
  if (month && !month.is_over) tiles.splice(3, 0, tile(`End of ${month.month}`, month.end_usd === null ? "unknown" : usd(month.end_usd), month.mean_usd === null ? "no whole day to go by yet" : `forecast; ${usd(month.so_far_usd)} so far`));
  at("tiles").replaceChildren(...tiles);
}

function showNotes() {
  const total = figures.total, said = [];
  if (total.unpriced_rows) said.push(`${whole(total.unpriced_rows)} rows have no price: the model is not in the price book, or the answer reported no tokens. The sums leave them out.`);
  if (total.unsplit_rows) said.push(`${whole(total.unsplit_rows)} rows have a cost whose share of waste or saving is not known.`);
  if (figures.in_doubt) said.push(`${whole(figures.in_doubt)} requests were sent and not answered: they may have been billed, and are in no row.`);
  at("notes").replaceChildren(...said.map((words) => make("p", { class: "note" }, words)));
}

/** A table; a column is [title, cell], and a cell gives text or an element. */
function table(columns, rows, words = []) {
  const kind = (place) => (words.includes(place) ? "words" : place === 0 ? "name" : "number");
  return make("table", {}, make("thead", {}, make("tr", {}, ...columns.map(([title], place) => make("th", { class: kind(place) === "number" ? "number" : null }, title)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...columns.map(([, cell], place) => make("td", { class: kind(place) }, ...[cell(row)].flat()))))));
}

function showGroups(id, lines) {
  const most = Math.max(...lines.map((line) => line.cost_usd || 0));
  const column = (name) => usdColumn(lines.map((line) => line[name]));
  const [cost, rate, waste] = ["cost_usd", "usd_per_1000_rows", "wasted_usd"].map(column);
  at(id).replaceChildren(table([
    ["", (line) => [line.name, make("div", { class: "share" }, make("i", { width: `${most ? (100 * (line.cost_usd || 0)) / most : 0}%` }))]],
    ["rows", (line) => whole(line.rows)],
    ["cost", (line) => (line.cost_usd === null && !line.unpriced_rows ? "-" : cost(line.cost_usd))],
    ["per 1,000", (line) => (line.usd_per_1000_rows === null ? "-" : rate(line.usd_per_1000_rows))],
    ["wasted", (line) => (line.wasted_usd === null ? "-" : waste(line.wasted_usd))],
    ["tokens in", (line) => short(line.prompt_tokens)],
    ["out", (line) => short(line.completion_tokens)],
  ], lines));
}

function showOutliers() {
  if (!figures.outliers.length) {
    at("outliers").replaceChildren(make("p", { class: "muted" }, "Nothing costs far above its group."));
    return;
  }
  const [cost, usual] = ["cost_usd", "median_usd"].map((name) => usdColumn(figures.outliers.map((line) => line[name])));
  at("outliers").replaceChildren(table([
    ["name", (line) => [make("span", { class: "tag" }, line.outlier), ` ${line.name}`]],
    ["group", (line) => [line.model, line.media_kind].filter(Boolean).join(", ")],
    ["rows", (line) => whole(line.rows)],
    ["cost", (line) => cost(line.cost_usd)],
    ["usual", (line) => usual(line.median_usd)],
    ["times", (line) => (line.times === null ? "-" : `${line.times.toLocaleString("en-US", { maximumFractionDigits: 1 })}x`)],
    ["why", (line) => line.reason],
  ], figures.outliers, [1, 6]));
}

function axes(money) {
  const ink = colour("soft"), line = colour("line");
  return {
    x: { stacked: true, grid: { display: false }, border: { color: line }, ticks: { color: ink, maxRotation: 0, autoSkipPadding: 14, callback(place) { return this.getLabelForValue(place).slice(5); } } },
    y: { stacked: true, beginAtZero: true, border: { display: false }, grid: { color: line }, ticks: { color: ink, maxTicksLimit: 6, callback: (value) => (money ? usd(value) : short(value)) } },
  };
}

function options(measure, stacked) {
  const scales = axes(measure !== "rows");
  scales.x.stacked = scales.y.stacked = stacked;
  return {
    responsive: true, maintainAspectRatio: false, animation: false, interaction: { mode: "index", intersect: false }, scales,
    plugins: {
      legend: { position: "bottom", align: "start", labels: { color: colour("ink"), boxWidth: 12, boxHeight: 10, padding: 14, usePointStyle: !stacked, pointStyle: stacked ? "rect" : "line" } },
      tooltip: { backgroundColor: colour("panel"), titleColor: colour("ink"), bodyColor: colour("ink"), borderColor: colour("line"), borderWidth: 1, padding: 10,
        filter: (entry) => entry.raw !== null && entry.raw !== 0,
        callbacks: { label: (entry) => ` ${entry.dataset.label}: ${amount(measure, entry.raw)}` } },
    },
  };
}

function draw(id, type, labels, datasets, measure, stacked) {
  if (charts[id]) charts[id].destroy();
  charts[id] = new Chart(at(id), { type, data: { labels, datasets }, options: options(measure, stacked) });
}

function drawTrend() {
  const lines = figures.trend[showing.split], measure = showing.measure, rate = measure === "per_1000";
  const datasets = lines.map((series, place) => {
    const own = colour(`series-${(place % 8) + 1}`);
    return { label: series.name, data: values(series, measure), backgroundColor: own, borderColor: own, borderWidth: rate ? 2 : 0, borderRadius: 2, maxBarThickness: 44, pointRadius: figures.days.length > 40 ? 0 : 2, spanGaps: true };
  });
  draw("trend", rate ? "line" : "bar", figures.days, datasets, measure, !rate);
  at("trend-table").replaceChildren(table([
    ["day", (day) => figures.days[day]],
    ...lines.map((series) => { const own = values(series, measure), written = measure === "rows" ? whole : usdColumn(own); return [series.name, (day) => (own[day] === null ? "-" : written(own[day]))]; }),
  ], figures.days.map((_, day) => day).reverse()));
}

function drawMonth() {
  const month = figures.forecast;
  let sum = 0;
  const spent = month.spent_usd.map((value) => (value === null ? null : (sum += value)));
  const datasets = [{ label: "spent", data: spent, borderColor: colour("series-1"), backgroundColor: colour("series-1"), borderWidth: 2, pointRadius: 0 }];
  if (month.end_usd !== null && !month.is_over) {
    const now = month.days.indexOf(month.today), last = month.days.length - 1;
    const ahead = month.days.map((_, day) => (day < now ? null : day === last ? month.end_usd : month.so_far_usd + ((month.end_usd - month.so_far_usd) * (day - now)) / (last - now)));
    datasets.push({ label: "forecast", data: ahead, borderColor: colour("series-2"), backgroundColor: colour("series-2"), borderWidth: 2, borderDash: [5, 4], pointRadius: 0 });
  }
  draw("month", "line", month.days, datasets, "cost_usd", false);
  at("month-title").textContent = month.month;
  at("month-said").textContent = month.is_over ? `${usd(month.so_far_usd)} in all; the month is over.`
    : month.mean_usd === null ? `${usd(month.so_far_usd)} so far; a forecast takes one whole day.`
      : `${usd(month.so_far_usd)} so far. Each day that is left: ${usd(month.mean_usd)}, the mean of the latest ${month.over_days === 1 ? "whole day" : `${month.over_days} whole days`}.`;
}

showTiles();
showNotes();
showGroups("by-model", figures.by.model);
showGroups("by-kind", figures.by.media_kind);
showOutliers();
if (figures.days.length) {
  segments(at("measure"), MEASURES, showing.measure, (value) => { showing.measure = value; drawTrend(); });
  segments(at("split"), SPLITS, showing.split, (value) => { showing.split = value; drawTrend(); });
  drawTrend();
  repaint.push(drawTrend);
} else {
  at("trend").closest(".panel").hidden = true;
}
if (figures.forecast) {
  drawMonth();
  repaint.push(drawMonth);
} else {
  at("month-panel").hidden = true;
  at("month-panel").parentElement.classList.add("alone");
}
