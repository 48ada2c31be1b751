// SPDX-License-Identifier: ISC
// Where a service is reached, as links that open it. A route that no browser could follow (a wildcard, a port that does
// not speak HTTP) is text.

import { make } from "./dom.js";

let mainPort = null;

/** The port on which hostnames are served; null: the protocol's own. */
export function setMainPort(port) {
  mainPort = port;
}

/** The URL of a route, or null. What is in it comes from a file of somebody's: only what is http in the end is used. */
export function urlOf({ route, target }) {
  if (route.includes("*") || target?.startsWith("tcp:")) return null;
  const hasPort = /^[^/]*:\d+(\/|$)/.test(route);
  try {
    const url = new URL(`${location.protocol}//${route.startsWith(":") ? location.hostname : ""}${route}`);
    if (!hasPort && mainPort) url.port = mainPort;
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

/** Fills `element` with the first `most` routes, and says how many more there are. */
export function fillRoutes(element, routes, most = Infinity) {
  routes ??= [];
  const key = JSON.stringify([routes, mainPort]);
  if (element.dataset.shown === key) return;
  element.dataset.shown = key;
  element.replaceChildren(...routes.slice(0, most).map(linkTo));
  if (routes.length > most) element.append(make("span", {}, `+${routes.length - most}`));
}

function linkTo(route) {
  const href = urlOf(route);
  const title = `${href ?? route.route} → ${route.target}`;
  if (!href) return make("span", { class: "route", title }, route.route);
  return make("a", { class: "route", title, href, target: "_blank", rel: "noopener noreferrer" }, route.route);
}
