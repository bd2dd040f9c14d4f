// A document under a client, whichever library it is of: one map, `feat`.

import * as Y14 from '@y/y';
import * as Y from 'yjs';

class Document {
  constructor(doc, id) {
    this.doc = doc;
    if (id !== undefined) doc.clientID = id;
  }

  get id() {
    return this.doc.clientID;
  }

  destroy() {
    this.doc.destroy();
  }
}

export class Document13 extends Document {
  constructor(id) {
    super(new Y.Doc(), id);
  }

  get #feat() {
    return this.doc.getMap('feat');
  }

  set(key, value) {
    this.#feat.set(key, value);
  }

  remove(key) {
    this.#feat.delete(key);
  }

  get(key) {
    return this.#feat.get(key);
  }

  content() {
    return this.#feat.toJSON();
  }
}

export class Document14 extends Document {
  constructor(id) {
    super(new Y14.Doc(), id);
  }

  get #feat() {
    return this.doc.get('feat');
  }

  set(key, value) {
    this.#feat.setAttr(key, value);
  }

  remove(key) {
    this.#feat.deleteAttr(key);
  }

  get(key) {
    return this.#feat.getAttr(key);
  }

  content() {
    return Object.fromEntries([...this.#feat.attrKeys()].map((key) => [key, this.get(key)]));
  }
}
