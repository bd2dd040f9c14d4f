// For owners: edits of people who may not edit any more, to look at on the map, and to admit or reject.

import type { Box } from '../map/beside.ts';
import type { Change } from '../map/preview.ts';
import { HttpError, reasonOf } from '../provider/problem.ts';
import type { Decision, ReviewDesk } from '../review/desk.ts';
import { type Kept, type Shown, touchedText } from '../review/kept.ts';
import { titleIn } from './details.ts';
import { ago, count, h, icon } from './dom.ts';

export interface ReviewEvents {
  /** Draws what an edit would change, beside the panel; none: nothing any more. */
  preview: (changes: readonly Change[], panel: Box) => void;
  say: (text: string) => void;
}

/** How often an owner's page asks whether edits wait: nobody tells it. */
const ASK_EVERY_MS = 30_000;
/** Features named below an edit; of the others the number is told. */
const NAMED_MAX = 20;

export class Review {
  readonly button: HTMLButtonElement;
  readonly panel: HTMLElement;
  readonly #desk: ReviewDesk;
  readonly #events: ReviewEvents;
  readonly #waiting = h('span', { class: 'number' });
  readonly #heading = h('h2', { tabindex: '-1' }, 'Late edits');
  readonly #list = h('ul', { class: 'kept-list' });
  #timer: ReturnType<typeof setTimeout> | null = null;
  #isLive = false;
  #shown: number | null = null;

  constructor(desk: ReviewDesk, events: ReviewEvents) {
    this.#desk = desk;
    this.#events = events;
    this.button = h(
      'button',
      { type: 'button', class: 'button late', 'aria-expanded': 'false', 'aria-controls': 'review', hidden: true },
      icon('review'),
      this.#waiting,
    );
    this.panel = h(
      'section',
      { id: 'review', class: 'popover review', 'aria-label': 'Late edits', hidden: true },
      this.#heading,
      h(
        'p',
        { class: 'why' },
        'Made by people whose right to edit was taken back before their edits arrived. Nobody sees them until you decide.',
      ),
      this.#list,
    );
    this.button.addEventListener('click', () => this.toggle());
  }

  /** Only while the page is connected there is somebody to ask. */
  connected(isLive: boolean): void {
    if (isLive === this.#isLive) return;
    this.#isLive = isLive;
    if (isLive) void this.#ask();
    else this.#rest();
  }

  toggle(isOpen = this.panel.hidden): void {
    this.panel.hidden = !isOpen;
    this.button.setAttribute('aria-expanded', `${isOpen}`);
    if (isOpen) return void this.#load();
    this.#hide();
    this.button.hidden = Number(this.#waiting.textContent) === 0;
  }

  dispose(): void {
    this.#isLive = false;
    this.#rest();
  }

  #rest(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Whoever is no owner asks once a connection: another role comes with another token, and that with another page. */
  async #ask(): Promise<void> {
    try {
      const { role, quarantined } = await this.#desk.standing();
      if (role !== 'owner') return;
      this.#count(quarantined);
    } catch (error) {
      // The server's word stands; where there is none, the next time, then.
      if (error instanceof HttpError && error.problem.status < 500) return;
    }
    // Another connection may have asked meanwhile.
    this.#rest();
    if (this.#isLive) this.#timer = setTimeout(() => void this.#ask(), ASK_EVERY_MS);
  }

  #count(waiting: number): void {
    const label = waiting === 1 ? '1 late edit waits for you' : `${count(waiting, 'late edit')} wait for you`;
    const isNew = this.button.hidden && waiting > 0;
    this.button.hidden = waiting === 0 && this.panel.hidden;
    this.button.setAttribute('aria-label', label);
    this.button.title = label;
    this.#waiting.textContent = `${waiting}`;
    this.button.dataset.waiting = `${waiting}`;
    if (isNew) this.#events.say(`${label}.`);
  }

  async #load(): Promise<void> {
    try {
      const all = await this.#desk.list();
      this.#count(all.length);
      this.#list.replaceChildren(
        ...(all.length === 0
          ? [h('li', { class: 'empty' }, 'None waits any more.')]
          : all.map((kept) => this.#row(kept))),
      );
    } catch (error) {
      this.#list.replaceChildren(h('li', { class: 'empty' }, `The list cannot be had now: ${reasonOf(error)}.`));
    }
  }

  #row(kept: Kept): HTMLElement {
    const who = kept.user === '' ? 'Somebody without a name' : kept.user;
    const when = ago(kept.arrived);
    const details = h('ul', { class: 'touched', hidden: true });
    const look = button('Show', `Show what ${who} changed, ${when}`, () => void this.#look(kept.id, look, details));
    look.setAttribute('aria-pressed', 'false');
    const admit = button(
      'Admit',
      `Admit what ${who} changed, ${when}`,
      () => void this.#decide(kept, who, 'admit', row),
    );
    const reject = button('Reject', `Reject what ${who} changed, ${when}`, () =>
      this.#confirm(kept, who, row, choices),
    );
    const choices = h('div', { class: 'row choices' }, look, admit, reject);
    const row = h(
      'li',
      { class: 'kept', 'data-edit': `${kept.id}` },
      h('h3', {}, who, h('span', { class: 'quiet' }, ` · ${when}`)),
      h('p', {}, kept.summary),
      kept.waits ? h('p', { class: 'notice' }, 'It builds on edits that are not in the map: admit those first.') : null,
      details,
      choices,
    );
    return row;
  }

  /** Rejecting is for good, and thick gloves hit the wrong button. */
  #confirm(kept: Kept, who: string, row: HTMLElement, choices: HTMLElement): void {
    const sure = button('Reject for good', `Reject for good what ${who} changed`, () => {
      void this.#decide(kept, who, 'reject', row);
    });
    const back = button('Keep it', `Keep what ${who} changed`, () => {
      question.replaceWith(choices);
      choices.querySelector('button')?.focus();
    });
    sure.classList.add('bad');
    const question = h('div', { class: 'row choices' }, back, sure);
    choices.replaceWith(question);
    back.focus();
  }

  async #decide({ id }: Kept, who: string, decision: Decision, row: HTMLElement): Promise<void> {
    for (const button of row.querySelectorAll('button')) button.disabled = true;
    try {
      await this.#desk.decide(id, decision);
      this.#events.say(
        decision === 'admit' ? `What ${who} changed is in the map now.` : `What ${who} changed is rejected.`,
      );
    } catch (error) {
      this.#events.say(`Nothing was decided: ${reasonOf(error)}.`);
    }
    this.#hide();
    await this.#load();
    this.#heading.focus();
  }

  async #look(id: number, look: HTMLElement, details: HTMLElement): Promise<void> {
    const isSame = this.#shown === id;
    this.#hide();
    if (isSame) return;
    this.#shown = id;
    try {
      const edit = await this.#desk.look(id);
      if (this.#shown !== id) return;
      if (!edit) throw new Error('it was decided meanwhile');
      look.setAttribute('aria-pressed', 'true');
      const lines = edit.features.slice(0, NAMED_MAX).map((touched) => touchedText(touched, titleOf));
      const more = edit.features.length - lines.length + edit.leftOut;
      if (more > 0) lines.push(`and ${count(more, 'feature')} more`);
      details.replaceChildren(...lines.map((line) => h('li', {}, line)));
      details.hidden = lines.length === 0;
      this.#events.preview(
        edit.features.map(({ before, after }) => ({
          before: before?.geometry ?? null,
          after: after?.geometry ?? null,
        })),
        this.panel.getBoundingClientRect(),
      );
    } catch (error) {
      if (this.#shown !== id) return;
      this.#shown = null;
      this.#events.say(`It cannot be shown now: ${reasonOf(error)}.`);
    }
  }

  /** Shows no edit any more. */
  #hide(): void {
    this.#shown = null;
    this.#events.preview([], this.panel.getBoundingClientRect());
    for (const details of this.#list.querySelectorAll<HTMLElement>('.touched')) details.hidden = true;
    for (const look of this.#list.querySelectorAll('[aria-pressed=true]')) look.setAttribute('aria-pressed', 'false');
  }
}

const titleOf = ({ properties }: Shown): string => titleIn((name) => properties.get(name));

function button(text: string, label: string, onClick: () => void): HTMLButtonElement {
  const element = h('button', { type: 'button', class: 'button', 'aria-label': label }, text);
  element.addEventListener('click', onClick);
  return element;
}
