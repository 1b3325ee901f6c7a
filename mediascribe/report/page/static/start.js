"use strict";
// The page's words come from JSON blocks and become text nodes, never markup.

const read = (name) => JSON.parse(document.getElementById(`${name}-json`).textContent);
const at = (id) => document.getElementById(id);

/** An element with attributes, listeners (`onclick`) and children; a string becomes text. */
function make(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "width") element.style.width = value;
    else if (name === "colour") element.style.background = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const whole = (value) => (value === null ? "unknown" : value.toLocaleString("en-US"));

/** The decimals that it takes to tell dollars of this size apart. */
function decimalsOf(size) {
  return size === 0 || size >= 1000 ? 2 : size >= 1 ? 3 : size >= 0.01 ? 4 : size >= 1e-6 ? 7 : 9;
}

/** Dollars; with *decimals* all of them are written. */
function usd(value, decimals) {
  if (value === null || value === undefined) return "unknown";
  const most = decimals ?? decimalsOf(Math.abs(value));
  const text = value.toLocaleString("en-US", { minimumFractionDigits: decimals ?? Math.min(most, 2), maximumFractionDigits: most });
  return `$${text}`.replace("$-", "-$");
}

/** How to write the dollars of one column: all with as many decimals, enough for three digits of the largest. */
function usdColumn(values) {
  const most = Math.max(0, ...values.filter((value) => value !== null).map(Math.abs));
  const decimals = most === 0 || most >= 100 ? 2 : Math.min(9, Math.max(2, 3 - Math.floor(Math.log10(most))));
  return (value) => (value !== null && value !== 0 && Math.abs(value) < 0.5 * 10 ** -decimals ? usd(value) : usd(value, decimals));
}

function short(value) {
  if (value < 10000) return whole(value);
  return value.toLocaleString("en-US", { notation: "compact", maximumFractionDigits: 1 });
}

const share = (part, all) => (all ? `${((100 * part) / all).toLocaleString("en-US", { maximumFractionDigits: 1 })} %` : "");

/** A group of buttons of which one is pressed. */
function segments(holder, options, chosen, choose) {
  const buttons = options.map(([value, label]) =>
    make("button", { "data-value": value, "aria-pressed": String(value === chosen), onclick: () => {
      buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.dataset.value === value)));
      choose(value);
    } }, label));
  holder.replaceChildren(...buttons);
}

const kept = {
  // Some browsers keep nothing for files.
  get(key) { try { return localStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(key, value); } catch { /* the marks last as long as the page */ } },
};

const repaint = [];  // what has to be drawn again in other colours
const THEMES = ["auto", "light", "dark"];

function wear(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  at("theme").textContent = { auto: "Theme: auto", light: "Theme: light", dark: "Theme: dark" }[theme];
  at("theme").dataset.theme = theme;
  kept.set("mediascribe-theme", theme);
  repaint.forEach((again) => again());
}

/** A colour of the style sheet as it is in this theme. */
function colour(name) {
  const probe = make("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

const shownView = [];  // what to do when the sheet comes to sight
function turn(view) {
  for (const name of ["money", "sheet"]) {
    at(`${name}-view`).hidden = name !== view;
    at(`tab-${name}`).setAttribute("aria-selected", String(name === view));
  }
  if (location.hash.slice(1) !== view) history.replaceState(null, "", `#${view}`);
  window.scrollTo(0, 0);
  if (view === "sheet") shownView.forEach((tell) => tell());
}

at("tab-money").addEventListener("click", () => turn("money"));
at("tab-sheet").addEventListener("click", () => turn("sheet"));
at("theme").addEventListener("click", () => wear(THEMES[(THEMES.indexOf(at("theme").dataset.theme) + 1) % 3]));
wear(THEMES.includes(kept.get("mediascribe-theme")) ? kept.get("mediascribe-theme") : "auto");
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => repaint.forEach((again) => again()));
