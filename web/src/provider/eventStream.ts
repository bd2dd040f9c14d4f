// Server-sent events (WHATWG HTML §9.2) from pieces of text as they arrive. Pure.

export interface ServerEvent {
  name: string;
  data: string;
}

/** A longer line is no event of ours: an update is at most 1 MiB, which is 1.4 MiB in base64. */
export const LINE_LENGTH_MAX = 4 << 20;

export class EventStream {
  #rest = '';
  #name = '';
  #data: string[] = [];
  #id: string | null = null;
  #lastId: string | null = null;

  /** What a client sends when it comes back. */
  get lastId(): string | null {
    return this.#lastId;
  }

  /**
   * Takes in a piece; gives the events that it completed. Comments give none.
   * @throws RangeError for a line beyond the bound
   */
  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > LINE_LENGTH_MAX) throw new RangeError('a line of the event stream does not end');
    for (const line of lines) {
      const event = this.#line(line.endsWith('\r') ? line.slice(0, -1) : line);
      if (event) events.push(event);
    }
    return events;
  }

  #line(line: string): ServerEvent | null {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') this.#name = value;
    else if (field === 'data') this.#data.push(value);
    else if (field === 'id') this.#id = value;
    return null;
  }

  #dispatch(): ServerEvent | null {
    const event = this.#data.length > 0 ? { name: this.#name || 'message', data: this.#data.join('\n') } : null;
    if (this.#id !== null) this.#lastId = this.#id;
    this.#name = '';
    this.#data = [];
    this.#id = null;
    return event;
  }
}
