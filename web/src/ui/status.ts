// One line on how things stand between this page and its server: what is only here, what is on its way, what is safe.

import type { ConnectionState } from '../session/session.ts';
import { count, h } from './dom.ts';

export interface StatusText {
  tone: 'good' | 'busy' | 'bad';
  text: string;
  /** More words, for the tooltip and for screen readers. */
  detail: string;
}

export function statusText({ link, edits, device }: ConnectionState): StatusText {
  const waiting = count(edits.unsaved, 'edit');
  switch (link.kind) {
    case 'connecting':
      return { tone: 'busy', text: 'Connecting…', detail: 'Looking for the server.' };
    case 'loading': {
      const share = link.totalBytes ? ` ${Math.floor((100 * link.receivedBytes) / link.totalBytes)} %` : '';
      return { tone: 'busy', text: `Loading…${share}`, detail: 'The content of the map is on its way.' };
    }
    case 'offline': {
      if (edits.unsaved === 0)
        return {
          tone: 'bad',
          text: 'Offline',
          detail: `Go on working; the page connects again by itself (${link.reason}).`,
        };
      const where = keptWhere({ link, edits, device });
      return {
        tone: 'bad',
        text: `Offline · ${waiting} ${where.short}`,
        detail: `Go on working; your edits are sent when the server is back. ${where.long}`,
      };
    }
    case 'closed':
      return { tone: 'bad', text: 'Closed by the server', detail: refusal(link.code, link.reason) };
    case 'live': {
      const way = link.over === 'http' ? ` Over plain HTTP: ${link.reason}.` : '';
      if (edits.kept > 0 && edits.kept === edits.refused)
        return {
          tone: 'busy',
          text: `${count(edits.kept, 'edit')} for an owner`,
          detail:
            'You may not edit this map any more. What you changed is safe with the server; an owner decides whether it goes in.',
        };
      if (edits.refused > 0)
        return {
          tone: 'bad',
          text: `${count(edits.refused, 'edit')} refused`,
          detail: 'The server does not take them; they are kept here and can be saved to a file.',
        };
      return edits.unsaved > 0
        ? { tone: 'busy', text: 'Saving…', detail: `${waiting} not yet on the server’s disk.${way}` }
        : { tone: 'good', text: 'Saved', detail: `Synced; all your edits are on the server’s disk.${way}` };
    }
  }
}

function keptWhere({ edits, device }: ConnectionState): { short: string; long: string } {
  if (edits.memory === 0)
    return { short: 'on this device', long: 'They are kept on this device, also when it is switched off.' };
  const why = device.kind === 'failed' ? ` (${device.reason})` : '';
  return { short: 'in this page only', long: `Keep this page open: this device does not keep them${why}.` };
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
    const { dataset } = this.element;
    dataset.tone = tone;
    dataset.link = state.link.kind;
    dataset.over = state.link.kind === 'live' ? state.link.over : '';
    dataset.unsaved = `${state.edits.unsaved}`;
    // What would be lost with this page.
    dataset.memory = `${state.edits.memory}`;
    this.element.title = detail;
    const line = this.element.querySelector('.text');
    if (line && line.textContent !== text) line.textContent = text;
  }
}
