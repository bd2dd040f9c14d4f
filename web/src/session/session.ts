// One open map: its document, how it is read, written and undone, who else is there, and the link to the server.

import { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { mapUndo, type Undo } from '../mapdoc/undo.ts';
import { MapView } from '../mapdoc/view.ts';
import { Writer } from '../mapdoc/writer.ts';
import { namePath } from '../names.ts';
import { PresenceChannel } from '../presence/presence.ts';
import { Connection } from '../provider/connection.ts';
import type { Identity } from './identity.ts';
import { currentToken } from './token.ts';

export interface SessionEvents {
  /** The server refused an edit, with its reason. */
  denied: (reason: string) => void;
  undoChanged: () => void;
}

export class MapSession {
  readonly doc = new Y.Doc();
  readonly view: MapView;
  readonly writer: Writer;
  readonly undo: Undo;
  readonly presence: PresenceChannel;
  readonly connection: Connection;
  readonly identity: Identity;

  constructor(name: string, identity: Identity, events: SessionEvents) {
    this.identity = identity;
    this.view = new MapView(this.doc);
    const { sid, userId, person } = identity;
    this.writer = new Writer(this.view, { sid, userId, name: person.name });
    this.undo = mapUndo(this.view, this.writer, events.undoChanged);
    const awareness = new Awareness(this.doc);
    this.presence = new PresenceChannel(awareness, person);
    const place = { url: socketUrl(), room: namePath(name), token: currentToken() };
    this.connection = new Connection(place, this.doc, awareness, events.denied);
  }

  dispose(): void {
    this.presence.dispose();
    this.connection.dispose();
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
}

function socketUrl(): string {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`;
}
