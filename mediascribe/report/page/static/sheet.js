// The contact sheet: filters, order, and a list that holds no more cards than are in sight.

const CARD = { width: 282, height: 322, gap: 14 };
const WORST = Object.fromEntries(["failed", "refused", "truncated", "skipped", "ok"].map((name, place) => [name, place]));
const filters = { statuses: new Set(), text: "", kind: "", marked: "", order: "newest", changed: false, flagged: false };
const pick = { list: items, chosen: 0, columns: 1 };

const flagCount = (item) => (item.flags || []).length;
const ORDERS = {
  newest: ["newest", (a, b) => a.place - b.place],
  worst: ["worst first", (a, b) => WORST[a.status] - WORST[b.status] || flagCount(b) - flagCount(a) || b.attempts - a.attempts || b.wasted_tokens - a.wasted_tokens],
  longest: ["longest text", (a, b) => (b.description || "").length - (a.description || "").length],
  dearest: ["dearest", (a, b) => (b.cost_usd || 0) - (a.cost_usd || 0)],
  slowest: ["slowest", (a, b) => (b.latency_s || 0) - (a.latency_s || 0)],
};
const MARKED = { "": "any", good: "good", bad: "bad", none: "unmarked", note: "with a note" };

function fits(item) {
  const said = filters.marked && markOf(item);
  return (!filters.statuses.size || filters.statuses.has(item.status))
    && (!filters.kind || (item.media_kind || "none") === filters.kind)
    && (!filters.changed || item.changed === true)
    && (!filters.flagged || flagCount(item) > 0)
    && (!said || (filters.marked === "note" ? said.note : filters.marked === "none" ? !said.mark : said.mark === filters.marked))
    && (!filters.text || filters.text.split(/\s+/).every((word) => item.words.includes(word)));
}

function refilter() {
  const before = pick.list[pick.chosen];
  pick.list = items.filter(fits);
  if (filters.order !== "newest") pick.list.sort((a, b) => ORDERS[filters.order][1](a, b) || a.place - b.place);
  pick.chosen = Math.max(0, pick.list.indexOf(before));
  at("count").textContent = pick.list.length === items.length ? `${whole(items.length)} items` : `${whole(pick.list.length)} of ${whole(items.length)} items`;
  at("nothing").hidden = pick.list.length > 0;
  layOut();
}

const drawn = new Map();  // the cards in sight, by their place in the list

function layOut() {
  drawn.clear();
  at("cards").replaceChildren();
  const room = at("cards").clientWidth;
  if (!room) return;
  pick.columns = Math.max(1, Math.floor((room + CARD.gap) / (CARD.width + CARD.gap)));
  const rows = Math.ceil(pick.list.length / pick.columns);
  at("cards").style.height = `${Math.max(0, rows * (CARD.height + CARD.gap) - CARD.gap)}px`;
  show();
}

/** Draw the cards in sight, and one row beyond, and drop the others. */
function show() {
  const holder = at("cards"), top = -holder.getBoundingClientRect().top, step = CARD.height + CARD.gap;
  const first = Math.max(0, Math.floor(top / step) - 1) * pick.columns;
  const last = Math.min(pick.list.length, (Math.floor((top + innerHeight) / step) + 2) * pick.columns);
  for (const [place, element] of drawn) {
    if (place < first || place >= last) { element.remove(); drawn.delete(place); }
  }
  for (let place = first; place < last; place += 1) if (!drawn.has(place)) put(place);
}

function put(place) {
  const item = pick.list[place], room = at("cards").clientWidth;
  const width = (room - CARD.gap * (pick.columns - 1)) / pick.columns;
  const element = card(item, {
    chosen: place === pick.chosen,
    choose: () => choose(place, false),
    open: () => open(false),
    redraw: () => again(place),
  });
  element.style.width = `${width}px`;
  element.style.left = `${(place % pick.columns) * (width + CARD.gap)}px`;
  element.style.top = `${Math.floor(place / pick.columns) * (CARD.height + CARD.gap)}px`;
  drawn.set(place, element);
  at("cards").append(element);
}

function again(place) {
  if (!drawn.has(place)) return;
  drawn.get(place).remove();
  put(place);
}

function choose(place, reveal) {
  if (!pick.list.length) return;
  const before = pick.chosen;
  pick.chosen = Math.min(pick.list.length - 1, Math.max(0, place));
  for (const one of [before, pick.chosen]) if (drawn.has(one)) drawn.get(one).classList.toggle("chosen", one === pick.chosen);
  if (!reveal) return;
  const top = Math.floor(pick.chosen / pick.columns) * (CARD.height + CARD.gap) + at("cards").getBoundingClientRect().top;
  const head = at("bar").getBoundingClientRect().bottom + 8;
  if (top < head) scrollBy(0, top - head);
  else if (top + CARD.height > innerHeight - 8) scrollBy(0, top + CARD.height - innerHeight + 8);
}

function open(toNote) {
  const place = pick.chosen;
  if (pick.list[place]) openDetail(pick.list[place], () => again(place), toNote);
}

function mark(value) {
  const place = pick.chosen, item = pick.list[place];
  if (!item) return;
  setMark(item, { mark: value });
  again(place);
  if (value) choose(place + 1, true);
}

const KEYS = {
  g: () => mark("good"), b: () => mark("bad"), u: () => mark(""), n: () => open(true), Enter: () => open(false),
  ArrowRight: () => choose(pick.chosen + 1, true), ArrowLeft: () => choose(pick.chosen - 1, true),
  j: () => choose(pick.chosen + 1, true), k: () => choose(pick.chosen - 1, true),
  ArrowDown: () => choose(pick.chosen + pick.columns, true), ArrowUp: () => choose(pick.chosen - pick.columns, true),
  Home: () => choose(0, true), End: () => choose(pick.list.length - 1, true),
  "/": () => at("search").focus(), "?": () => at("help").showModal(),
};

// Keys that mean something else to an element that has the focus.
const OWN_KEYS = [["select", /./], ["audio, video", /^(Arrow|Home|End|Enter)/], ["button, a", /^Enter$/]];

document.addEventListener("keydown", (event) => {
  if (at("sheet-view").hidden || document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === at("search")) {
    if (event.key === "Escape" || event.key === "Enter") { at("search").blur(); event.preventDefault(); }
    return;
  }
  const own = OWN_KEYS.find(([elements]) => event.target.closest(elements));
  if (own && own[1].test(event.key)) return;
  const act = KEYS[event.key];
  if (act) { event.preventDefault(); act(); }
});

function choices(id, entries, chosen, pickOne) {
  at(id).replaceChildren(...entries.map(([value, label]) => make("option", { value, selected: value === chosen }, label)));
  at(id).addEventListener("change", () => { pickOne(at(id).value); refilter(); });
}

function showFilters() {
  const counts = new Map();
  for (const item of items) counts.set(item.status, (counts.get(item.status) || 0) + 1);
  const chips = STATUSES.filter((name) => counts.has(name)).map((name) => make("button", { "data-status": name, "aria-pressed": "false", onclick: (event) => {
    const on = !filters.statuses.delete(name);
    if (on) filters.statuses.add(name);
    event.currentTarget.setAttribute("aria-pressed", String(on));
    refilter();
  } }, name, make("b", {}, whole(counts.get(name)))));
  at("statuses").replaceChildren(...chips);
  const kinds = [...new Set(items.map((item) => item.media_kind || "none"))].sort();
  choices("kind", [["", "any"], ...kinds.map((kind) => [kind, kind])], "", (value) => { filters.kind = value; });
  choices("marked", Object.entries(MARKED), "", (value) => { filters.marked = value; });
  choices("order", Object.entries(ORDERS).map(([value, [label]]) => [value, label]), "newest", (value) => { filters.order = value; });
  for (const id of ["changed", "flagged"]) at(id).addEventListener("change", () => { filters[id] = at(id).checked; refilter(); });
  at("search").addEventListener("input", () => { filters.text = at("search").value.trim().toLowerCase(); refilter(); });
  if (sheetJson.more) at("sheet-note").textContent = `The newest ${whole(items.length)} items are here; there are more.`;
}

at("keys").addEventListener("click", () => at("help").showModal());
addEventListener("scroll", () => { if (!at("sheet-view").hidden) show(); }, { passive: true });
addEventListener("resize", () => { if (!at("sheet-view").hidden) layOut(); });
shownView.push(layOut);
showFilters();
refilter();
turn(location.hash === "#sheet" ? "sheet" : "money");
