// One item as a card, and as a dialog with all that is known of it.

const pictures = read("previews");
const items = sheetJson.rows.map((row, place) => {
  const item = Object.fromEntries(sheetJson.columns.map((name, column) => [name, row[column]]));
  item.place = place;
  item.words = [item.item_id, item.description, item.error_message, item.error_code, item.model, ...item.media_urls].filter(Boolean).join("\n").toLowerCase();
  return item;
});

const SHAPES = {
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01",
  audio: "M9 18V6l10-2v12M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0zM19 16a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z",
  video: "M4 6h11v12H4zM15 10l5-3v10l-5-3",
  none: "M5 5l14 14M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18z",
};

function shape(kind) {
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg"), path = document.createElementNS(space, "path");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  path.setAttribute("d", SHAPES[kind] || SHAPES.none);
  drawing.append(path);
  return drawing;
}

/** What stands for media that are not in the page: the host as a link for http(s), else words. */
function place(url) {
  if (!url) return make("span", {}, "no media");
  if (/^data:/i.test(url)) return make("span", {}, "sent inline");
  let found = null;
  try { found = new URL(url); } catch { /* relative */ }
  if (found && (found.protocol === "https:" || found.protocol === "http:")) {
    return make("a", { href: found.href, target: "_blank", rel: "noopener noreferrer nofollow", title: url }, found.host);
  }
  return make("span", { title: url }, url);
}

const firstKind = (item) => (item.media_kind || "none").split("+")[0];

function view(item) {
  const made = pictures[item.place], kind = firstKind(item);
  const holder = make("div", { class: "view" });
  if (made && made.player && made.player.startsWith("data:audio/")) {
    holder.append(make("audio", { controls: true, preload: "metadata", src: made.player }));
  } else if (made && made.player) {
    holder.append(make("video", { controls: true, preload: "none", src: made.player, poster: made.picture }));
  } else if (made && made.picture) {
    holder.append(make("img", { src: made.picture, alt: item.media_urls[0] || "", decoding: "async" }));
  } else {
    holder.append(make("div", { class: "place" }, shape(kind), place(item.media_urls[0])));
  }
  const corner = make("div", { class: "corner" });
  if (item.media_urls.length > 1) corner.append(make("span", { class: "tag" }, `+${item.media_urls.length - 1}`));
  if (item.changed) corner.append(make("span", { class: "tag" }, "changed"));
  if ((item.flags || []).length) corner.append(make("span", { class: "tag" }, item.flags.length === 1 ? item.flags[0].replaceAll("_", " ") : `${item.flags.length} flags`));
  const said = markOf(item);
  holder.append(corner);
  if (said.mark) holder.append(make("span", { class: `ribbon ${said.mark}` }, said.note ? `${said.mark}, note` : said.mark));
  else if (said.note) holder.append(make("span", { class: "tag ribbon-note" }, "note"));
  return holder;
}

const status = (item) => make("span", { class: `status ${STATUSES.includes(item.status) ? item.status : ""}` }, item.status);

function markButton(item, mark, sign, done) {
  return make("button", { class: `mark ${mark}`, title: mark, "aria-label": mark, "aria-pressed": String(markOf(item).mark === mark), tabindex: "-1", onclick: (event) => {
    event.stopPropagation();
    setMark(item, { mark: markOf(item).mark === mark ? "" : mark });
    done();
  } }, sign);
}

function card(item, { chosen, choose, open, redraw }) {
  const tokens = item.prompt_tokens + item.completion_tokens;
  return make("article", { class: chosen ? "card chosen" : "card", role: "listitem", "data-id": item.item_id, onclick: choose, ondblclick: open },
    view(item),
    make("div", { class: "body" },
      make("div", { class: "head" }, make("strong", { title: item.item_id }, item.item_id), status(item)),
      make("div", { class: item.description ? "said" : "said why" }, item.description || item.error_message || "no text")),
    make("div", { class: "low" }, make("span", {}, tokens ? `${short(tokens)} tokens` : "no tokens"),
      make("span", {}, item.cost_usd === null ? (tokens ? "cost unknown" : "") : usd(item.cost_usd)), make("span", { class: "spacer" }),
      markButton(item, "good", "\u2713", redraw), markButton(item, "bad", "\u2717", redraw)));
}

function facts(item) {
  const seconds = item.media_seconds === null ? null : `${item.media_seconds.toFixed(1)} s`;
  const size = item.media_width === null ? null : `${item.media_width} x ${item.media_height}`;
  const pairs = [
    ["kind", item.media_kind], ["size", size], ["length", seconds], ["model", item.model], ["prompt", item.prompt_id],
    ["run", item.run_id], ["row", whole(item.row_number)], ["asked because", item.reason],
    ["tokens in", whole(item.prompt_tokens)], ["tokens out", whole(item.completion_tokens)], ["tokens wasted", item.wasted_tokens ? whole(item.wasted_tokens) : null],
    ["cost", item.cost_usd !== null ? usd(item.cost_usd) : item.prompt_tokens ? "unknown" : null], ["attempts", whole(item.attempts)],
    ["took", item.latency_s === null ? null : `${item.latency_s.toFixed(2)} s`], ["answered", item.completed_at],
    ["error", [item.error_class, item.error_code].filter(Boolean).join(", ")], ["flags", (item.flags || []).join(", ")],
  ];
  return make("dl", { class: "facts" }, ...pairs.filter(([, value]) => value).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

function openDetail(item, done, toNote) {
  const dialog = at("detail"), note = make("textarea", { id: "note", "aria-label": "Note", placeholder: "A note about this item" });
  note.value = markOf(item).note;
  const close = () => dialog.close();
  const paint = () => buttons.replaceChildren(markButton(item, "good", "\u2713", paint), markButton(item, "bad", "\u2717", paint), make("span", { class: "spacer" }), make("button", { class: "strong", autofocus: true, onclick: close }, "Close"));
  const buttons = make("div", { class: "row" });
  paint();
  const part = (title, words) => (words ? [make("h3", {}, title), make("div", { class: "text" }, words)] : []);
  dialog.replaceChildren(
    make("h2", {}, `${item.item_id} `, status(item)), view(item),
    ...part("Description", item.description), ...part("Why there is none", item.error_message),
    ...(item.changed ? part(`Before: ${item.earlier_status}`, item.earlier_description || "no description") : []),
    make("h3", {}, "Media"), ...item.media_urls.map((url) => make("div", {}, place(url), make("span", { class: "muted" }, /^https?:/i.test(url) ? ` ${url}` : ""))),
    make("h3", {}, "Facts"), facts(item), make("h3", {}, "Note"), note, buttons);
  dialog.onclose = () => { if (note.value.trim() !== markOf(item).note) setMark(item, { note: note.value.trim() }); dialog.replaceChildren(); done(); };
  dialog.showModal();
  if (toNote) note.focus();
  else dialog.scrollTop = 0;
}
