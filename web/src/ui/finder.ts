// Finds features by name or id: the way in for those who do not use a pointer.

import { compareBytes } from '../mapdoc/values.ts';
import { count, h } from './dom.ts';

const RESULTS_MAX = 50;

export interface Findable {
  fid: string;
  title: string;
  /** In lower case: title, id, property texts. */
  text: string;
}

/** The first features whose text holds every word; those whose title starts with the query come first. */
export function find(features: Iterable<Findable>, query: string): { shown: Findable[]; total: number } {
  const words = query
    .toLowerCase()
    .split(/\s+/u)
    .filter((word) => word !== '');
  const found = [...features].filter(({ text }) => words.every((word) => text.includes(word)));
  const isStart = ({ title }: Findable) =>
    words.length > 0 && title.toLowerCase().startsWith(words.join(' ')) ? 0 : 1;
  found.sort((a, b) => isStart(a) - isStart(b) || compareBytes(a.title || a.fid, b.title || b.fid));
  return { shown: found.slice(0, RESULTS_MAX), total: found.length };
}

export class Finder {
  readonly panel: HTMLElement;
  readonly #input = h('input', {
    type: 'search',
    id: 'find',
    placeholder: 'Name, id or property',
    autocomplete: 'off',
    'aria-label': 'Find features',
  });
  readonly #summary = h('p', { class: 'quiet', role: 'status' });
  readonly #results = h('ul', { class: 'results' });
  readonly #features: () => Iterable<Findable>;
  readonly #choose: (fid: string) => void;

  constructor(features: () => Iterable<Findable>, choose: (fid: string) => void) {
    this.#features = features;
    this.#choose = choose;
    this.panel = h(
      'section',
      { class: 'popover finder', 'aria-label': 'Find', hidden: true },
      this.#input,
      this.#summary,
      this.#results,
    );
    this.#input.addEventListener('input', () => this.#search());
    this.#input.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') this.#results.querySelector('button')?.click();
    });
  }

  toggle(isOpen = this.panel.hidden): void {
    this.panel.hidden = !isOpen;
    if (!isOpen) return;
    this.#search();
    this.#input.focus();
    this.#input.select();
  }

  #search(): void {
    const { shown, total } = find(this.#features(), this.#input.value);
    this.#summary.textContent =
      total > shown.length ? `${count(total, 'feature')}, the first ${shown.length} shown` : count(total, 'feature');
    this.#results.replaceChildren(
      ...shown.map(({ fid, title }) => {
        const button = h('button', { type: 'button', class: 'button flat' }, title === '' ? fid : title);
        button.addEventListener('click', () => this.#choose(fid));
        return h('li', {}, button);
      }),
    );
  }
}
