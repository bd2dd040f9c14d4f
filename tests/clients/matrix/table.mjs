// The results as a table for people: clients down, scenarios across.

export class Table {
  #cells = new Map();
  #rows;
  #columns;

  constructor(rows, columns) {
    [this.#rows, this.#columns] = [rows, columns];
  }

  set(row, column, result) {
    this.#cells.set(`${row} ${column}`, result);
  }

  get(row, column) {
    return this.#cells.get(`${row} ${column}`) ?? 'not run';
  }

  /** In Markdown, which is also readable as it is. */
  toString() {
    const rows = this.#rows.map((row) => [row, ...this.#columns.map((column) => this.get(row, column))]);
    const all = [['', ...this.#columns], ...rows];
    const widths = all[0].map((_, i) => Math.max(...all.map((row) => [...row[i]].length)));
    const line = (row) => `| ${row.map((text, i) => text.padEnd(widths[i])).join(' | ')} |`;
    const [head, ...body] = all;
    return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
  }
}
