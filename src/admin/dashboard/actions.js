// SPDX-License-Identifier: ISC
// Starting, stopping and restarting: the buttons, the question before something open is cut off, and what is said when
// it did not work.

import { operate } from "./api.js";
import { alertUser, ask } from "./dialogs.js";
import { attribute, copy, say } from "./dom.js";
import { plural } from "./format.js";

const WORDS = {
  start: ["Start", "Starting"],
  stop: ["Stop", "Stopping"],
  restart: ["Restart", "Restarting"],
};
let mayChange = true; // by the token's role

export function setMayChange(yes) {
  mayChange = yes;
}

function operationsFor(service) {
  if (service.proxied || !mayChange) return [];
  if (service.state === "starting" && service.busy !== "stop") return service.busy ? [service.busy, "stop"] : ["stop"];
  if (service.busy) return [service.busy];
  if (service.state === "offline" || service.state === "failed") return ["start"];
  return service.state === "stopping" ? [] : ["stop", "restart"];
}

/** Keeps the buttons in `element` as the service's state wants them. Who has the focus keeps it. */
export function fillActions(element, service) {
  const operations = operationsFor(service);
  const key = `${operations} ${service.busy}`;
  if (element.dataset.shown === key) return;
  element.dataset.shown = key;
  const had = element.contains(document.activeElement);
  element.replaceChildren(...operations.map((operation) => buttonFor(operation, service)));
  if (had) (element.firstElementChild ?? element.closest(".row")?.querySelector(".name"))?.focus();
}

function buttonFor(operation, service) {
  const button = copy("action");
  const [word, doing] = WORDS[operation];
  const busy = service.busy === operation;
  button.dataset.operation = operation;
  attribute(button, "aria-label", `${busy ? doing : word} ${service.name}`);
  attribute(button, "title", word);
  attribute(button, "aria-disabled", busy ? "true" : null);
  attribute(button.querySelector("use"), "href", `#icon-${operation}`);
  say(button.querySelector("span"), busy ? `${doing}…` : word);
  return button;
}

/**
 * Does it, after asking where that cuts something off. `changed` is called whenever the buttons have to change. What is
 * stopped while it starts has its start fail: that is no news.
 */
export async function perform(service, operation, changed) {
  if (service.busy === operation || !mayChange) return;
  if (operation !== "start" && service.open > 0 && !(await confirmCut(service, operation))) return;
  service.busy = operation;
  changed();
  try {
    await operate(service.name, operation);
  } catch (error) {
    if (service.busy === operation) alertUser(`${WORDS[operation][0]} of ${service.name} failed`, explain(error));
  } finally {
    if (service.busy === operation) service.busy = null;
    changed();
  }
}

function confirmCut(service, operation) {
  const them = service.open === 1 ? "it" : "them";
  return ask(`${WORDS[operation][0]} ${service.name}?`,
    `${plural(service.open, "request is", "requests are")} open, and would be cut off. Left alone, dynapm waits for `
      + `${them}.`,
    `${WORDS[operation][0]} it now`);
}

function explain(error) {
  if (error.status === 401) return "dynapm wants another token for that.";
  if (error.status === 403) return `This token, or this address, may look but change nothing (${error.message}).`;
  return error.status ? error.message : "dynapm does not answer.";
}
