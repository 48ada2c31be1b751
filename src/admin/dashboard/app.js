// SPDX-License-Identifier: ISC
// Where the parts of the page meet: events fill the store, the store tells what to draw, and all drawing happens once a
// frame however many events came.

import { Events, token } from "./api.js";
import { perform, setMayChange } from "./actions.js";
import { alertUser, announce, askToken } from "./dialogs.js";
import { Details } from "./details.js";
import { $, attribute, say, show } from "./dom.js";
import * as format from "./format.js";
import { setMainPort } from "./routes.js";
import { drawRates, Rows } from "./rows.js";
import { Store } from "./store.js";

const REARRANGE = 5000; // ms between two looks at an order that changes by itself
const LINK_WORDS = {
  connecting: "Connecting",
  live: "Live",
  lost: "Connection lost",
  token: "Token needed",
  refused: "Refused",
};

const store = new Store({ changed, membership, transition, tick, reloaded });
const rows = new Rows(store);
const details = new Details(store);
const events = new Events({ onEvent: (event) => store.take(event), onLink });

// ── drawing ──

let asked = { frame: false, time: false, arrange: false };

/** Asks for a frame, in which time has passed or rows have to be put in order. */
function redraw(what) {
  Object.assign(asked, what);
  if (asked.frame) return;
  asked.frame = true;
  requestAnimationFrame(() => {
    const { time, arrange } = asked;
    asked = { frame: false, time: false, arrange: false };
    if (arrange) rows.arrange();
    rows.draw(time);
    details.draw();
    drawSummary();
  });
}

function changed(service) {
  rows.changed(service);
  redraw({});
}

function membership() {
  rows.membership();
  details.follow();
  showContent();
  redraw({ time: true });
}

function transition(service, before) {
  const because = service.data.stateReason ? `: ${service.data.stateReason}` : "";
  announce(`${service.name} is ${service.state}${because}`);
  redraw({ time: true, arrange: !rows.inUse });
}

function reloaded(problems) {
  if (problems === 0) return announce("The configuration was read anew");
  alertUser(`The configuration has ${format.plural(problems, "problem")}`,
    "What has them stays as it was. dynapmctl check tells what they are.");
}

function tick() {
  redraw({ time: true });
}

function drawSummary() {
  const sums = store.sums();
  const moving = sums.awake - sums.online;
  const note = (n, what, always) => (n || always ? [`${format.count(n)} ${what}`] : []);
  say($("sum-awake"), format.count(sums.awake));
  say($("sum-of"), ` of ${format.count(sums.all)}`);
  say($("sum-awake-note"),
    [...note(sums.asleep, "asleep", true), ...note(moving, "on the move"), ...note(sums.failed, "failed")].join(", "));
  const shares = { online: sums.online, moving, failed: sums.failed, asleep: sums.asleep };
  for (const [name, n] of Object.entries(shares)) $("shares").querySelector(`.${name}`).style.flexGrow = n;
  say($("sum-rate"), format.rate(store.total.rate(10000)));
  drawRates($("sum-chart"), store.total);
  say($("sum-open"), format.count(sums.open));
  say($("sum-waiting"), openNote(sums));
  drawMemory(sums.memory);
  for (const group of ["all", "awake", "asleep", "failed"]) say($(`n-${group}`), format.count(sums[group]));
  const title = sums.failed ? `${format.count(sums.failed)} failed – dynapm` : "dynapm";
  if (document.title !== title) document.title = title;
}

function openNote({ open, waiting }) {
  if (waiting > 0) return `${format.count(waiting)} waiting for a start`;
  return open > 0 ? "none waits for a start" : "nothing is open";
}

function drawMemory(memory) {
  const [size, unit] = memory === null ? ["–", ""] : format.bytes(memory).split(" ");
  say($("sum-memory"), size);
  say($("sum-memory-unit"), unit ? ` ${unit}` : "");
  say($("sum-memory-note"), memory === null ? "not known here" : "what sleeps needs none");
}

/** What the page consists of: the list, help where there is none yet, or neither. */
function showContent() {
  const some = store.services.size > 0;
  show($("loading"), false);
  show($("refused"), false);
  show($("no-services"), !some);
  for (const id of ["summary", "tools", "keys"]) show($(id), some);
  if (!some) for (const id of ["services", "no-match"]) show($(id), false);
  else rows.arrange();
}

// ── the link ──

let countdown = null;

function onLink(state, details) {
  attribute($("link"), "data-link", state);
  say($("link-word"), LINK_WORDS[state]);
  clearInterval(countdown);
  // Between two attempts the banner stays: "connecting" for a moment is no news.
  if (state !== "connecting") showBanner(state === "lost", details.retryAt);
  document.body.classList.toggle("stale", state !== "live");
  if (state !== "live" && state !== "connecting") store.interrupt();
  if (state === "live") begin(details);
  if (state === "token") replaceToken(details.wrong);
  if (state === "refused") showRefusal(details.message);
}

function begin({ version, role, port }) {
  say($("version"), version ?? "");
  // Behind a proxy with TLS the ports are that one's.
  setMainPort(location.protocol === "http:" ? port : null);
  setMayChange(role !== "read");
  show($("sign-out"), token.get() !== null);
}

function showBanner(lost, retryAt) {
  show($("banner"), lost);
  if (!lost) return;
  const tell = () => {
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    const when = seconds > 0 ? `Trying again in ${format.span(seconds * 1000)}.` : "Trying again.";
    say($("banner-text"), `dynapm does not answer; what you see may be old. ${when}`);
  };
  tell();
  countdown = setInterval(tell, 1000);
  show($("loading"), false);
}

async function replaceToken(wrong) {
  token.forget();
  show($("loading"), false);
  token.set(await askToken(wrong));
  events.retry();
}

function showRefusal(message) {
  for (const id of ["summary", "tools", "keys", "services", "no-match", "no-services", "loading"]) show($(id), false);
  say($("refused-why"), message);
  show($("refused"), true);
}

// ── hands ──

function applyFilter() {
  rows.filterBy($("filter").value, document.querySelector("[name=show]:checked").value);
  redraw({ time: true });
}

function clearFilter() {
  $("filter").value = "";
  document.querySelector("[name=show][value=all]").checked = true;
  applyFilter();
  $("filter").focus();
}

$("tools").addEventListener("input", applyFilter);
$("tools").addEventListener("submit", (event) => event.preventDefault());
$("clear-filter").addEventListener("click", clearFilter);
$("banner-retry").addEventListener("click", () => events.retry());
$("refused-retry").addEventListener("click", () => events.retry());
$("sign-out").addEventListener("click", () => {
  token.forget();
  location.reload();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-operation], [data-open]");
  if (!button) return;
  const name = button.closest("[data-name]")?.dataset.name;
  const service = name === undefined ? details.service : store.services.get(name);
  if (!service) return;
  if (button.dataset.operation) perform(service, button.dataset.operation, () => changed(service));
  else details.open(service.name);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    $("filter").focus();
    $("filter").select();
  } else if (event.key === "Escape" && event.target === $("filter")) {
    clearFilter();
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && (!typing || event.target === $("filter"))) {
    event.preventDefault();
    rows.move(event.key === "ArrowDown" ? 1 : -1);
  }
});

// An order by what changes all the time is put right now and then, unless a hand is on it.
setInterval(() => redraw({ time: true, arrange: !rows.inUse }), REARRANGE);
setInterval(() => {
  store.pass();
  redraw({ time: true });
}, 1000);
events.run();
