// One line on how things stand between this page and its server.

import type { ConnectionState } from '../provider/connection.ts';
import { count, h } from './dom.ts';

export interface StatusText {
  tone: 'good' | 'busy' | 'bad';
  text: string;
  /** More words, for the tooltip and for screen readers. */
  detail: string;
}

export function statusText({ link, unsaved, acknowledges }: ConnectionState): StatusText {
  const waiting = count(unsaved, 'edit');
  switch (link.kind) {
    case 'connecting':
      return { tone: 'busy', text: 'Connecting…', detail: 'Looking for the server.' };
    case 'loading':
      return { tone: 'busy', text: 'Loading…', detail: 'Connected; the content of the map is on its way.' };
    case 'offline':
      return unsaved > 0
        ? {
            tone: 'bad',
            text: `Offline · ${waiting} waiting`,
            detail: 'Go on working; your edits are sent when the server is back. Keep this page open.',
          }
        : { tone: 'bad', text: 'Offline', detail: 'Go on working; the page connects again by itself.' };
    case 'refused':
      return { tone: 'bad', text: 'Closed by the server', detail: refusal(link.code, link.reason) };
    case 'live':
      if (!acknowledges)
        return { tone: 'good', text: 'Synced', detail: 'This server does not say when edits are on its disk.' };
      return unsaved > 0
        ? { tone: 'busy', text: 'Saving…', detail: `${waiting} sent, not yet on the server’s disk.` }
        : { tone: 'good', text: 'Saved', detail: 'Synced; all your edits are on the server’s disk.' };
  }
}

function refusal(code: number, reason: string): string {
  if (reason !== '') return `${reason} (code ${code})`;
  switch (code) {
    case 4401:
      return 'The server wants a valid token.';
    case 4403:
      return 'You may not open this map.';
    case 4404:
      return 'This map has been deleted.';
    case 4413:
      return 'An edit was larger than the server accepts.';
    default:
      return `The server ended the connection with code ${code}.`;
  }
}

export class StatusPill {
  readonly element = h(
    'output',
    { class: 'pill', 'data-testid': 'status' },
    h('span', { class: 'dot' }),
    h('span', { class: 'text' }),
  );

  show(state: ConnectionState): void {
    const { tone, text, detail } = statusText(state);
    this.element.dataset.tone = tone;
    this.element.dataset.link = state.link.kind;
    this.element.dataset.unsaved = `${state.unsaved}`;
    this.element.title = detail;
    const line = this.element.querySelector('.text');
    if (line && line.textContent !== text) line.textContent = text;
  }
}
