// @ts-check
// A table of records.

import { element, write } from "/admin-words.js";

/**
 * A column: its title, the name by which the server sorts by it, its text, its class.
 * @typedef {[string, string, (row: any) => string, ((row: any) => string)?]} Column
 */

/** A table whose rows are used again, so that a redraw takes neither the focus nor the place to which one has scrolled. */
export class Table {
  /** @param {HTMLElement} table @param {Column[]} columns @param {string} nothing what is said without rows */
  constructor(table, columns, nothing) {
    this.head = /** @type {HTMLElement} */ (table.querySelector("thead tr"));
    this.body = /** @type {HTMLElement} */ (table.querySelector("tbody"));
    this.columns = columns;
    this.nothing = nothing;
    for (const [title, sort, , style] of columns) {
      const cell = element("th", style?.({ code: "", standing: "FINE", state: "" }) === "number" ? "number" : "");
      const inner = element(sort ? "button" : "span", "", title);
      if (sort) inner.dataset.sort = sort;
      cell.setAttribute("scope", "col");
      cell.append(inner);
      this.head.append(cell);
    }
  }

  /** @param {any[]} rows */
  draw(rows) {
    const shown = rows.length || 1;
    while (this.body.children.length > shown) this.body.lastElementChild?.remove();
    while (this.body.children.length < shown) this.body.append(element("tr"));
    if (!rows.length) {
      const cell = element("td", "empty", this.nothing);
      cell.setAttribute("colspan", String(this.columns.length));
      this.body.firstElementChild?.replaceChildren(cell);
      return;
    }
    rows.forEach((row, index) => {
      const line = /** @type {HTMLElement} */ (this.body.children[index]);
      if (line.children.length !== this.columns.length) line.replaceChildren(...this.columns.map(() => element("td")));
      this.columns.forEach(([, , text, style], place) => {
        const cell = line.children[place];
        write(cell, text(row));
        const name = style?.(row) ?? "";
        if (cell.className !== name) cell.className = name;
      });
    });
  }
}
