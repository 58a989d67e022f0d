"use strict";
// The console's own script: live fragments, relative times, keys, theme, pause and copying. Every page works without it.

const byId = (id) => document.getElementById(id);

// ---- Theme. The choice is kept in this browser; without one, the system's preference holds.
function setUpTheme() {
  const root = document.documentElement;
  const button = byId("theme");
  const kept = localStorage.getItem("theme");
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const name = () => { button.textContent = isDark() ? "Light theme" : "Dark theme"; };
  button.hidden = false;
  name();
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    name();
  });
}

// ---- Relative times. The server writes them once; they would be wrong a minute later.
function inShort(seconds) {
  if (seconds < 60) return Math.floor(seconds) + " s";
  if (seconds < 3600) return Math.floor(seconds / 60) + " min";
  if (seconds < 172800) return Math.floor(seconds / 3600) + " h";
  return Math.floor(seconds / 86400) + " d";
}

// How far the server's clock is ahead of this one: ages refer to the server's.
const ahead = (Date.parse(document.body.dataset.now) || Date.now()) - Date.now();

function refreshTimes() {
  for (const time of document.querySelectorAll("time[title]")) {
    const seconds = (Date.now() + ahead - Date.parse(time.dateTime)) / 1000;
    time.textContent = seconds < 0 ? "in " + inShort(-seconds) : inShort(seconds) + " ago";
  }
}

// ---- Live fragments. The server sends a fragment when it has changed. One that is pointed at or has the focus is not replaced under
// the reader's hand: it waits, and a button shows it.
const live = { source: null, heardAt: Date.now(), waiting: new Map(), hashes: new Map(), paused: false };

function isInUse(element) {
  if (element.contains(document.activeElement) && document.activeElement !== document.body) return true;
  if (element.querySelector("details[open]:hover, form:hover, [data-row]:hover")) return true;
  return [...element.querySelectorAll("input, textarea")].some((field) => field.type === "checkbox" ? field.checked !== field.defaultChecked
    : field.value !== field.defaultValue && field.type !== "hidden");
}

function rowsOf(element) {
  return new Set([...element.querySelectorAll("[data-row]")].map((row) => row.id));
}

function replaceFragment(element, html) {
  const open = new Set([...element.querySelectorAll("details")].map((one, at) => (one.open ? at : -1)));
  const before = rowsOf(element);
  element.innerHTML = html;
  [...element.querySelectorAll("details")].forEach((one, at) => { if (open.has(at)) one.open = true; });
  const added = [...rowsOf(element)].filter((row) => before.size > 0 && !before.has(row)).length;
  if (added > 0) announce(added === 1 ? "1 new row" : added + " new rows");
  showCopyButtons(element);
  refreshTimes();
}

function showWaiting() {
  for (const [id, html] of live.waiting) {
    const element = byId(id);
    if (element) replaceFragment(element, html);
  }
  live.waiting.clear();
  byId("waiting-updates").hidden = true;
}

function receive(event) {
  const fragment = JSON.parse(event.data);
  live.heardAt = Date.now();
  const element = byId(fragment.id);
  if (!element) { // a part that was not there when the page was loaded
    if (live.hashes.size > 0) announce("There is more to show: load the page again");
    return;
  }
  if (live.hashes.get(fragment.id) === fragment.hash) return;
  live.hashes.set(fragment.id, fragment.hash);
  if (isInUse(element)) {
    live.waiting.set(fragment.id, fragment.html);
    const count = document.createRange().createContextualFragment(fragment.html).querySelectorAll("[data-row]").length;
    const fresh = count - element.querySelectorAll("[data-row]").length;
    byId("waiting-updates").querySelector("button").textContent = fresh > 0 ? fresh + " new, show" : "Show what has changed";
    byId("waiting-updates").hidden = false;
    return;
  }
  live.waiting.delete(fragment.id);
  if (live.waiting.size === 0) byId("waiting-updates").hidden = true;
  replaceFragment(element, fragment.html);
}

function connect() {
  const at = document.body.dataset.live;
  if (!at || live.paused || live.source) return;
  live.source = new EventSource("/live?at=" + encodeURIComponent(at));
  live.source.addEventListener("fragment", receive);
  live.source.addEventListener("beat", () => { live.heardAt = Date.now(); });
}

function disconnect() {
  if (live.source) live.source.close();
  live.source = null;
}

function showFreshness() {
  const shown = byId("freshness");
  if (!shown) return;
  const seconds = Math.floor((Date.now() - live.heardAt) / 1000);
  const stale = live.paused || seconds > 25;
  shown.classList.toggle("stale", !live.paused && stale);
  shown.textContent = live.paused ? "Paused" : stale ? "Last updated " + inShort(seconds) + " ago" : "Live";
}

function setUpLive() {
  if (!document.body.dataset.live || !window.EventSource) return;
  const pause = byId("pause");
  const show = () => {
    pause.setAttribute("aria-pressed", String(live.paused));
    pause.textContent = live.paused ? "Resume updates" : "Pause updates";
    if (live.paused) disconnect(); else connect();
    showFreshness();
  };
  live.paused = localStorage.getItem("paused") === "yes";
  pause.hidden = false;
  pause.addEventListener("click", () => {
    live.paused = !live.paused;
    live.heardAt = Date.now();
    localStorage.setItem("paused", live.paused ? "yes" : "no");
    show();
  });
  byId("waiting-updates").querySelector("button").addEventListener("click", showWaiting);
  document.addEventListener("visibilitychange", () => { if (document.hidden) disconnect(); else connect(); });
  show();
  setInterval(() => { showFreshness(); refreshTimes(); }, 5000);
}

let announced = 0;
function announce(text) {
  if (Date.now() - announced < 10000) return; // a screen reader would talk without end
  announced = Date.now();
  byId("announcements").textContent = text;
}

// ---- Copying a command.
function showCopyButtons(within) {
  if (!navigator.clipboard) return;
  for (const button of within.querySelectorAll("button.copy")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});

// ---- Keys.
let current = "";
let leading = 0;

function rows() { return [...document.querySelectorAll("main [data-row]")]; }

function move(step) {
  const all = rows();
  if (all.length === 0) return;
  const at = all.findIndex((row) => row.id === current);
  const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
  for (const row of all) row.classList.toggle("current", row === next);
  current = next.id;
  const link = next.querySelector("a");
  if (link) link.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

function go(key) {
  const places = { c: "/customers", l: "/letters", a: "/alerts", h: "/held", r: "/review", s: "/streams" };
  if (places[key]) location.assign(places[key]);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input, select, textarea");
  if (typing) {
    if (event.key === "Escape") typing.blur();
    return;
  }
  if (Date.now() - leading < 1500) {
    leading = 0;
    go(event.key);
    return;
  }
  const keys = {
    "/": () => { const search = byId("search"); if (search) search.focus(); },
    "j": () => move(1),
    "k": () => move(-1),
    "g": () => { leading = Date.now(); },
    "?": () => byId("keys").showModal(),
    "x": () => {
      const row = byId(current);
      const box = row && row.querySelector("input[type=checkbox]");
      if (box) box.click();
    },
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});

setUpTheme();
setUpLive();
refreshTimes();
showCopyButtons(document);
