// @ts-check
// Where each of many tiles is, without drawing them: sections of known length under each other, rows of equal tiles.
// Knows no DOM.

const TILE = { width: 150, height: 190, gap: 10, title: 34 };

/**
 * @typedef {{title: string, first: number, images: number, top: number, height: number}} Section
 * @typedef {{columns: number, sections: Section[], height: number}} Rows
 */

/** @param {{title: string, images: number}[]} sections @param {number} width px @returns {Rows} */
function rowsFor(sections, width) {
  const columns = Math.max(2, Math.floor((width + TILE.gap) / (TILE.width + TILE.gap)));
  let [first, top] = [0, 0];
  const placed = sections.map(({ title, images }) => {
    const head = title ? TILE.title : 0;
    const height = head + Math.ceil(images / columns) * (TILE.height + TILE.gap);
    const section = { title, first, images, top, height };
    first += images;
    top += height;
    return section;
  });
  return { columns, sections: placed, height: top };
}

/** The section in which `value` of `part` lies; by halves, since there may be thousands. @param {Rows} rows */
function sectionAt(rows, part, value) {
  let [low, high] = [0, rows.sections.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (rows.sections[middle][part] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** @param {Rows} rows @param {number} place @returns {{row: number, column: number, top: number}} */
function tileAt(rows, place) {
  const section = rows.sections[sectionAt(rows, "first", place)];
  const inside = place - section.first;
  const row = Math.floor(inside / rows.columns);
  const top = section.top + (section.title ? TILE.title : 0) + row * (TILE.height + TILE.gap);
  return { row, column: inside % rows.columns, top };
}

/** First and last place that touch the pixels from `top` to `bottom`. @param {Rows} rows @returns {[number, number]} */
function placesBetween(rows, top, bottom) {
  const at = (pixel) => {
    const section = rows.sections[sectionAt(rows, "top", Math.max(0, pixel))];
    const row = Math.floor((pixel - section.top - (section.title ? TILE.title : 0)) / (TILE.height + TILE.gap));
    return { section, start: section.first + Math.max(0, row) * rows.columns };
  };
  const [head, foot] = [at(top), at(bottom)];
  const last = Math.min(foot.section.first + foot.section.images, foot.start + rows.columns) - 1;
  return [Math.min(head.start, head.section.first + head.section.images - 1), last];
}

/** The place one row up or down: the same column of the next row, in the next section too. @param {Rows} rows */
function placeInRow(rows, place, step) {
  const here = rows.sections[sectionAt(rows, "first", place)];
  const column = (place - here.first) % rows.columns;
  const target = place + step * rows.columns;
  if (target >= here.first && target < here.first + here.images) return target;
  const lastRow = Math.floor((here.images - 1) / rows.columns);
  if (step > 0 && Math.floor((place - here.first) / rows.columns) < lastRow) return here.first + here.images - 1;
  const next = rows.sections[rows.sections.indexOf(here) + Math.sign(step)];
  if (!next) return place;
  const start = step > 0 ? 0 : Math.floor((next.images - 1) / rows.columns) * rows.columns;
  return next.first + Math.min(next.images - 1, start + column);
}
