// One open map: its document, how it is read, written and undone, who else is there, and the link to the server.

import { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { mapUndo, type Undo } from '../mapdoc/undo.ts';
import { MapView } from '../mapdoc/view.ts';
import { Writer } from '../mapdoc/writer.ts';
import { PresenceChannel } from '../presence/presence.ts';
import type { Counts } from '../provider/editLog.ts';
import type { DeviceState } from '../provider/persistence.ts';
import type { ProviderState } from '../provider/policy.ts';
import { MADE_ANEW, MapweaveProvider } from '../provider/provider.ts';
import type { Identity } from './identity.ts';
import { Refusals } from './refusals.ts';
import { currentToken } from './token.ts';

/** How things stand between this page and its server. */
export interface ConnectionState {
  link: ProviderState;
  edits: Counts;
  device: DeviceState;
}

export interface SessionEvents {
  /** The server does not take edits: why, in words. */
  refused: (why: string) => void;
  undoChanged: () => void;
}

export class MapSession {
  readonly doc = new Y.Doc();
  readonly view: MapView;
  readonly writer: Writer;
  readonly undo: Undo;
  readonly presence: PresenceChannel;
  readonly provider: MapweaveProvider;
  readonly identity: Identity;

  constructor(name: string, identity: Identity, events: SessionEvents) {
    this.identity = identity;
    this.view = new MapView(this.doc);
    const { sid, userId, person } = identity;
    this.writer = new Writer(this.view, { sid, userId, name: person.name });
    this.undo = mapUndo(this.view, this.writer, events.undoChanged);
    const awareness = new Awareness(this.doc);
    this.presence = new PresenceChannel(awareness, person);
    const token = currentToken();
    this.provider = new MapweaveProvider({
      server: location.origin,
      map: name,
      doc: this.doc,
      awareness,
      ...(token === null ? {} : { token }),
    });
    const refusals = new Refusals();
    this.provider.on('edits', ({ counts }) => {
      const why = counts.refused > 0 ? refusals.news(this.provider.pending()) : null;
      if (why !== null) events.refused(why);
    });
    this.provider.on('state', (state) => {
      if (state.kind === 'closed' && state.code === MADE_ANEW) void this.#beginAnew();
    });
  }

  get connection(): ConnectionState {
    const { state: link, counts: edits, device } = this.provider;
    return { link, edits, device };
  }

  onConnection(listener: (state: ConnectionState) => void): void {
    const tell = () => listener(this.connection);
    this.provider.on('state', tell);
    this.provider.on('edits', tell);
  }

  dispose(): void {
    this.presence.dispose();
    void this.provider.destroy();
    this.undo.dispose();
    this.view.dispose();
    this.doc.destroy();
  }

  /** Features this browser made. */
  isOwn(sid: string): boolean {
    return this.identity.ownSids.has(sid);
  }

  nameOf(sid: string): string {
    if (sid === this.identity.sid) return 'you';
    return this.view.sessionName(sid) ?? (this.isOwn(sid) ? 'you, earlier' : 'somebody');
  }

  /** Content of a map that is no more is of no use, unless there are edits in it that nobody else has. */
  async #beginAnew(): Promise<void> {
    if (this.provider.counts.unsaved > 0) return;
    await this.provider.forget();
    location.reload();
  }
}
