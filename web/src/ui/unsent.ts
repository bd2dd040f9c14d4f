// What has not reached the server's disk: how far each edit has come, and files to carry edits to it another way.

import { FILE_BYTES_MAX, FILE_ENDING } from '../provider/file.ts';
import type { MapSession } from '../session/session.ts';
import { count, h } from './dom.ts';

/** Reasons that are listed; more would be the same ones. */
const REASONS_MAX = 3;

export class Unsent {
  readonly button: HTMLButtonElement;
  readonly panel: HTMLElement;
  readonly #session: MapSession;
  readonly #say: (text: string) => void;
  readonly #list = h('ul', { class: 'unsent' });
  readonly #save = h('button', { type: 'button', class: 'button' }, 'Save unsent edits to a file');

  /** `status` is shown on the button; `say` tells the person what came of it. */
  constructor(session: MapSession, status: HTMLElement, say: (text: string) => void) {
    this.#session = session;
    this.#say = say;
    this.button = h(
      'button',
      { type: 'button', class: 'button flat status', 'aria-expanded': 'false', 'aria-controls': 'unsent' },
      status,
    );
    const file = h('input', { type: 'file', accept: FILE_ENDING, hidden: true, 'aria-label': 'File of unsent edits' });
    const bring = h('button', { type: 'button', class: 'button' }, 'Bring in edits from a file');
    this.panel = h(
      'section',
      { id: 'unsent', class: 'popover', 'aria-label': 'Your edits', hidden: true },
      h('h2', {}, 'Your edits'),
      this.#list,
      this.#save,
      bring,
      file,
    );
    this.button.addEventListener('click', () => this.toggle());
    this.#save.addEventListener('click', () => this.#download());
    bring.addEventListener('click', () => file.click());
    file.addEventListener('change', () => {
      const [chosen] = file.files ?? [];
      file.value = '';
      if (chosen) void this.#bringIn(chosen);
    });
  }

  toggle(isOpen = this.panel.hidden): void {
    this.panel.hidden = !isOpen;
    this.button.setAttribute('aria-expanded', `${isOpen}`);
    this.show();
  }

  /** Shows how things are now, if somebody looks. */
  show(): void {
    if (this.panel.hidden) return;
    const { counts, device } = this.#session.provider;
    const rows = [
      ['only in this page', counts.memory],
      ['on this device', counts.device],
      ['sent, not yet on the server’s disk', counts.sent],
      ['kept by the server until an owner decides', counts.kept],
      ['refused by the server', counts.refused - counts.kept],
    ] as const;
    const refused = this.#session.provider.pending().filter(({ reason, kept }) => reason !== '' && !kept);
    const reasons = new Set(refused.map(({ reason }) => reason));
    const lines = [
      ...rows.filter(([, number]) => number > 0).map(([where, number]) => `${count(number, 'edit')} ${where}`),
      ...[...reasons].slice(0, REASONS_MAX),
      ...(device.kind === 'failed' ? [`This device keeps nothing: ${device.reason}.`] : []),
    ];
    if (lines.length === 0) lines.push('All are on the server’s disk.');
    this.#list.replaceChildren(...lines.map((line) => h('li', {}, line)));
    this.#save.disabled = counts.unsaved === 0;
  }

  #download(): void {
    const { name, bytes } = this.#session.provider.exportUnsent(this.#session.identity.person.name);
    const address = URL.createObjectURL(new Blob([bytes], { type: 'application/octet-stream' }));
    const link = h('a', { href: address, download: name });
    link.click();
    // The browser has begun to read it when the next task runs.
    setTimeout(() => URL.revokeObjectURL(address), 0);
  }

  async #bringIn(file: File): Promise<void> {
    if (file.size > FILE_BYTES_MAX) return this.#say('This file is too large.');
    const result = this.#session.provider.importUnsent(new Uint8Array(await file.arrayBuffer()));
    if (!result.ok) return this.#say(result.reason);
    const unreadable = result.unreadable > 0 ? ` ${count(result.unreadable, 'edit')} could not be read.` : '';
    this.#say(`${count(result.edits, 'edit')} taken in.${unreadable}`);
    this.show();
  }
}
