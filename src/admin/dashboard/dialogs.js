// SPDX-License-Identifier: ISC
// What is said to and asked of the user outside the list: questions, the token, alerts, and what a screen reader is to
// hear of changes.

import { $, make, say } from "./dom.js";

const ALERT_TIME = 12000; // ms
const MOST_ALERTS = 4;
const TOLD_ONE_BY_ONE = 3; // changes at a time

/** Asks whether to do it; resolves to true or false. */
export function ask(title, text, yes) {
  const dialog = $("confirm");
  say($("confirm-title"), title);
  say($("confirm-text"), text);
  say($("confirm-yes"), yes);
  return answerOf(dialog).then((answer) => answer === "yes");
}

/** Asks for a token until there is one; resolves to it. */
export async function askToken(wrong) {
  const input = $("token");
  say($("token-wrong"), wrong ? "That token was not accepted." : "");
  let value = "";
  while (!value) {
    input.value = "";
    await answerOf($("ask-token"));
    value = input.value.trim();
  }
  input.value = "";
  return value;
}

function answerOf(dialog) {
  return new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    if (!dialog.open) dialog.showModal();
  });
}

/** Says that something went wrong, for a while or until it is clicked away. */
export function alertUser(title, text) {
  const close = make("button", { type: "button", class: "quiet" }, "Dismiss");
  const toast = make("div", { class: "toast" }, make("div", {}, make("b", {}, title), make("p", {}, text)), close);
  const gone = () => toast.remove();
  close.addEventListener("click", gone);
  $("toasts").append(toast);
  while ($("toasts").children.length > MOST_ALERTS) $("toasts").firstElementChild.remove();
  setTimeout(gone, ALERT_TIME);
}

let pending = [];

/** Tells a screen reader of a change; many at once are only counted. */
export function announce(text) {
  pending.push(text);
  if (pending.length > 1) return;
  setTimeout(() => {
    const few = pending.length <= TOLD_ONE_BY_ONE;
    say($("live"), few ? pending.join(". ") : `${pending.length} services changed their state`);
    pending = [];
  }, 300);
}
