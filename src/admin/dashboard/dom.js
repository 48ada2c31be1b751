// SPDX-License-Identifier: ISC
// The few things that are done to the document. What comes from outside becomes text or the value of an attribute,
// never markup.

export const $ = (id) => document.getElementById(id);

/** Sets what an element says; leaves it alone, and with it selections and screen readers, where that is the same. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute, or removes it for null. */
export function attribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

export function show(element, yes) {
  element.hidden = !yes;
}

/** A new element with attributes and children; a child that is a string is text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A copy of the one element of a <template>. */
export function copy(id) {
  return $(id).content.firstElementChild.cloneNode(true);
}
