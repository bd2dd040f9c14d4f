import { IDBFactory } from 'fake-indexeddb';
import { expect, test } from 'vitest';
import * as Y from 'yjs';
import { deviceName, openDevice, type Stored } from './device.ts';
import { EditLog } from './editLog.ts';
import { Persistence, UPDATES_MAX } from './persistence.ts';

const NAME = deviceName('http://localhost', 'm');

/** One page of a device. */
class Page {
  readonly log = new EditLog();
  readonly doc = new Y.Doc();
  readonly persistence: Persistence;
  readonly factory: IDBFactory;
  readonly loaded: Stored[] = [];
  #keys = 0;

  constructor(factory: IDBFactory) {
    const { log, doc } = this;
    this.factory = factory;
    this.persistence = new Persistence({
      factory,
      name: NAME,
      log,
      doc,
      apply: (stored) => this.loaded.push(stored),
      changed: () => {},
      random: () => 0,
    });
  }

  edit(value: number): string {
    let update = new Uint8Array();
    this.doc.once('update', (made: Uint8Array) => {
      update = new Uint8Array(made);
    });
    this.doc.getMap('feat').set('k', value);
    this.#keys += 1;
    const edit = this.log.add({ key: `p${this.#keys}`, at: this.#keys, update }, false);
    if (edit) this.persistence.writeEdit(edit);
    return `p${this.#keys}`;
  }

  isOnDevice(): boolean {
    return this.log.pending().every(({ onDevice }) => onDevice);
  }
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  await expect.poll(condition, { timeout: 5_000, interval: 5 }).toBe(true);
}

/** What another page would find. */
async function found(factory: IDBFactory) {
  const device = await openDevice(factory, NAME, () => {});
  const stored = await device.load();
  device.close();
  const doc = new Y.Doc();
  for (const update of [...stored.content, ...stored.edits.map(({ update }) => update)]) Y.applyUpdate(doc, update);
  return { value: doc.getMap('feat').get('k'), edits: stored.edits.map(({ key }) => key), stored };
}

test('an edit counts as on the device once it is written, and is there for the next page', async () => {
  const page = new Page(new IDBFactory());
  page.edit(1);
  expect(page.isOnDevice()).toBe(false);
  expect(await page.persistence.open()).toBe(false);
  page.edit(2);
  await until(() => page.isOnDevice());
  expect(await found(page.factory)).toMatchObject({ value: 2, edits: ['p1', 'p2'] });
});

test('what is on the server’s disk moves from the edits to the content', async () => {
  const page = new Page(new IDBFactory());
  await page.persistence.open();
  page.edit(1);
  page.edit(2);
  await until(() => page.isOnDevice());
  page.persistence.settle(page.log.storedUpto(1));
  await until(async () => (await found(page.factory)).edits.length === 1);
  expect(await found(page.factory)).toMatchObject({ value: 2, edits: ['p2'] });
  page.persistence.settle(page.log.storedUpto(2));
  await until(async () => (await found(page.factory)).edits.length === 0);
  expect((await found(page.factory)).value).toBe(2);
});

test('many updates of others become one', async () => {
  const page = new Page(new IDBFactory());
  await page.persistence.open();
  page.persistence.keep();
  const other = new Y.Doc();
  other.on('update', (update: Uint8Array) => {
    Y.applyUpdate(page.doc, update);
    page.persistence.remember(update);
  });
  for (let i = 0; i < UPDATES_MAX + 10; i++) {
    other.getMap('feat').set('k', i);
    await page.persistence.flush();
  }
  const { value, stored } = await found(page.factory);
  expect(value).toBe(UPDATES_MAX + 9);
  expect(stored.content.length).toBeLessThan(20);
});

test('a page that does not keep the content writes all of it when it begins to', async () => {
  const page = new Page(new IDBFactory());
  await page.persistence.open();
  page.doc.getMap('feat').set('k', 7);
  page.persistence.remember(Y.encodeStateAsUpdate(page.doc));
  await page.persistence.flush();
  expect((await found(page.factory)).value).toBe(undefined);
  page.persistence.keep();
  await until(async () => (await found(page.factory)).value === 7);
});

test('a database that is deleted under us is made again, with every edit that waits', async () => {
  const page = new Page(new IDBFactory());
  await page.persistence.open();
  page.edit(1);
  await until(() => page.isOnDevice());
  // Our connection hears of it and gives way.
  page.factory.deleteDatabase(NAME);
  await until(() => page.persistence.state.kind === 'failed');
  expect(page.isOnDevice()).toBe(false);
  page.edit(2);
  await until(() => page.persistence.state.kind === 'ok' && page.isOnDevice());
  expect(await found(page.factory)).toMatchObject({ value: 2, edits: ['p1', 'p2'] });
});

test('where the disk is full, edits stay in the page and the state says why, until there is room', async () => {
  const factory = new IDBFactory();
  const page = new Page(factory);
  await page.persistence.open();
  const { open } = factory;
  let isFull = true;
  factory.open = (...request) => {
    if (isFull) throw new DOMException('no room', 'QuotaExceededError');
    return open.apply(factory, request);
  };
  factory.deleteDatabase(NAME);
  await until(() => page.persistence.state.kind === 'failed');
  page.edit(1);
  await until(() => {
    const { state } = page.persistence;
    return state.kind === 'failed' && state.reason.includes('full');
  });
  expect(page.log.counts()).toMatchObject({ memory: 1 });
  isFull = false;
  await until(() => page.isOnDevice());
  expect((await found(factory)).edits).toEqual(['p1']);
});

test('where there is no database at all, nothing rejects and the state says so', async () => {
  const factory = new IDBFactory();
  factory.open = () => {
    throw new DOMException('not allowed', 'SecurityError');
  };
  const page = new Page(factory);
  expect(await page.persistence.open()).toBe(false);
  expect(page.persistence.state).toEqual({ kind: 'failed', reason: 'not allowed' });
  await page.persistence.close();
});

test('many edits of one’s own become one update as well', async () => {
  const page = new Page(new IDBFactory());
  await page.persistence.open();
  page.persistence.keep();
  for (let i = 0; i < UPDATES_MAX + 10; i++) {
    page.edit(i);
    await until(() => page.isOnDevice());
    page.persistence.settle(page.log.storedUpto(page.log.newest));
  }
  await until(async () => (await found(page.factory)).stored.content.length < 20);
  expect(await found(page.factory)).toMatchObject({ value: UPDATES_MAX + 9, edits: [] });
});

test('what a device has is taken in when it can be read at last, and not written over before', async () => {
  const factory = new IDBFactory();
  const before = new Page(factory);
  await before.persistence.open();
  before.edit(5);
  await until(() => before.isOnDevice());
  before.persistence.settle(before.log.storedUpto(1));
  await before.persistence.close();

  const { open } = factory;
  let isBlocked = true;
  factory.open = (...request) => {
    if (isBlocked) throw new DOMException('not now', 'UnknownError');
    return open.apply(factory, request);
  };
  const page = new Page(factory);
  expect(await page.persistence.open()).toBe(false);
  page.persistence.keep();
  page.persistence.remember(Y.encodeStateAsUpdate(page.doc));
  await page.persistence.flush();
  isBlocked = false;
  await until(() => page.loaded.length === 1 && page.persistence.state.kind === 'ok');
  expect(page.loaded[0]?.content.length).toBe(1);
});

test('the log in which a map lies is remembered', async () => {
  const page = new Page(new IDBFactory());
  await page.persistence.open();
  page.persistence.setEpoch('3.a7');
  await until(async () => (await found(page.factory)).stored.about.epoch === '3.a7');
});
