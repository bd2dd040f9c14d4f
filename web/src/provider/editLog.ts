// The edits of this device that are not known to be on the server's disk, each with how far it has come. Pure.
//
// Every edit gets a number in the order in which it came to this page. What is sent is sent in that order, so that the server's
// word on one number is its word on all before it.

export interface StoredEdit {
  /** Names the edit on this device for ever; sorts by the page that made it and its order there. */
  key: string;
  /** When it was made, in milliseconds since 1970. */
  at: number;
  /** A Yjs update (v1). */
  update: Uint8Array;
}

/** `memory`: in this page only; `device`: it survives this page; `sent`: on its way or waiting for the server's disk; `refused`: the server will not have it. */
export type EditState = 'memory' | 'device' | 'sent' | 'refused';

export interface PendingEdit {
  key: string;
  at: number;
  bytes: number;
  state: EditState;
  /** Whether it survives this page, whatever else. */
  onDevice: boolean;
  /** Why the server refused it; empty otherwise. */
  reason: string;
  /** Refused, but kept by the server until an owner has decided about it. */
  kept: boolean;
}

export interface Counts {
  /** All that are not known to be on the server's disk. */
  unsaved: number;
  memory: number;
  device: number;
  sent: number;
  refused: number;
  /** Those among the refused that the server keeps until an owner has decided about them. */
  kept: number;
}

export interface Edit extends StoredEdit {
  readonly number: number;
  onDevice: boolean;
  isSent: boolean;
  reason: string | null;
  isKept: boolean;
}

export class EditLog {
  /** By key, in the order of their numbers. */
  readonly #edits = new Map<string, Edit>();
  #numbers = 0;

  /** The number of the newest edit; 0 before the first. */
  get newest(): number {
    return this.#numbers;
  }

  /** Takes in an edit; null if it is known. */
  add({ key, at, update }: StoredEdit, onDevice: boolean): Edit | null {
    const known = this.#edits.get(key);
    if (known) {
      known.onDevice ||= onDevice;
      return null;
    }
    this.#numbers += 1;
    const fresh = { isSent: false, reason: null, isKept: false };
    const edit: Edit = { key, at, update, number: this.#numbers, onDevice, ...fresh };
    this.#edits.set(key, edit);
    return edit;
  }

  /** These are written to the device now, or are not any more. */
  onDevice(keys: Iterable<string>, isThere: boolean): void {
    for (const key of keys) {
      const edit = this.#edits.get(key);
      if (edit) edit.onDevice = isThere;
    }
  }

  /** All up to this number are on their way. */
  sent(upto: number): void {
    for (const edit of this.#edits.values()) if (edit.number <= upto) edit.isSent = true;
  }

  /** These are on their way, or not any more. */
  sending(edits: readonly Edit[], isSent = true): void {
    for (const edit of edits) edit.isSent = isSent;
  }

  /** The way was lost: nobody knows what of it arrived. */
  unsend(): void {
    for (const edit of this.#edits.values()) edit.isSent = false;
  }

  /** The server will not have this one; `isKept`: not before an owner has decided about it. */
  refuse(key: string, reason: string, isKept = false): void {
    const edit = this.#edits.get(key);
    if (edit) Object.assign(edit, { reason, isKept });
  }

  /** Whoever asks again may be told otherwise: with another token, or after the limit was raised. */
  forgive(): void {
    for (const edit of this.#edits.values()) Object.assign(edit, { reason: null, isKept: false });
  }

  /** Everything up to this number is on the server's disk; gives what has to be forgotten on the device. */
  storedUpto(number: number): Edit[] {
    return this.#take([...this.#edits.values()].filter((edit) => edit.number <= number));
  }

  /** The same for these alone. */
  stored(keys: Iterable<string>): Edit[] {
    return this.#take([...keys].flatMap((key) => this.#edits.get(key) ?? []));
  }

  /** Oldest first. */
  all(): Edit[] {
    return [...this.#edits.values()];
  }

  pending(): PendingEdit[] {
    return this.all().map((edit) => ({
      key: edit.key,
      at: edit.at,
      bytes: edit.update.length,
      state: stateOf(edit),
      onDevice: edit.onDevice,
      reason: edit.reason ?? '',
      kept: edit.isKept,
    }));
  }

  counts(): Counts {
    const counts = { unsaved: this.#edits.size, memory: 0, device: 0, sent: 0, refused: 0, kept: 0 };
    for (const edit of this.#edits.values()) {
      counts[stateOf(edit)] += 1;
      if (edit.isKept) counts.kept += 1;
    }
    return counts;
  }

  #take(edits: Edit[]): Edit[] {
    for (const { key } of edits) this.#edits.delete(key);
    return edits;
  }
}

function stateOf({ reason, isSent, onDevice }: Edit): EditState {
  if (reason !== null) return 'refused';
  if (isSent) return 'sent';
  return onDevice ? 'device' : 'memory';
}
