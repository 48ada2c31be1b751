// SPDX-License-Identifier: ISC
// Lines of numbers as SVG paths. A chart is drawn into elements that exist already; what is not known (NaN) is a gap.

const WIDTH = 100; // of the viewBox; CSS stretches it
const HEIGHT = 24;

/** The largest of what is known of a line, 0 where there is nothing. */
export function largest(line) {
  return line.reduce((most, v) => (v > most ? v : most), 0);
}

/** As that, but for the few that stand out: they touch the upper edge, and leave the others their shape. */
export function usual(line) {
  const known = line.filter((v) => !Number.isNaN(v)).sort((a, b) => a - b);
  const high = known.length ? known[Math.floor(known.length * 0.95)] * 1.25 : 0;
  return Math.min(high, largest(line));
}

/**
 * Draws `lines` into the `path.line` elements of `svg`, and what is below the first into its `path.area`, if it has
 * one. `max` is the value at the upper edge; a gap of up to `bridge` values is passed over.
 */
export function draw(svg, lines, max, bridge) {
  const paths = svg.querySelectorAll("path.line");
  lines.forEach((values, i) => set(paths[i], lineOf(runsOf(values, max, bridge))));
  const area = svg.querySelector("path.area");
  if (area) set(area, areaOf(runsOf(lines[0], max, bridge)));
}

function set(path, d) {
  if (path.getAttribute("d") !== d) path.setAttribute("d", d);
}

/** The points of each stretch without a longer gap. */
function runsOf(values, max, bridge) {
  const runs = [];
  let run = [];
  let last = -Infinity;
  values.forEach((v, i) => {
    if (Number.isNaN(v)) return;
    if (i - last - 1 > bridge) runs.push((run = []));
    last = i;
    const x = (i / (values.length - 1)) * WIDTH;
    const y = HEIGHT - 1 - (Math.min(v, max) / max) * (HEIGHT - 2);
    run.push([x.toFixed(1), y.toFixed(1)]);
  });
  return runs;
}

function lineOf(runs) {
  // A lone point is a line without length, of which a round cap makes a dot.
  return runs.map((run) => `M${run.length === 1 ? [run[0], run[0]].join("L") : run.join("L")}`).join("");
}

function areaOf(runs) {
  return runs.map((run) => `M${run[0][0]},${HEIGHT}L${run.join("L")}L${run[run.length - 1][0]},${HEIGHT}Z`).join("");
}
