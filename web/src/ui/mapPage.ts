// The page of one map. It listens to the session and to the map widget and tells each what the other needs.

import { MapWidget } from '../map/widget.ts';
import type { Feature } from '../mapdoc/view.ts';
import { checkName } from '../names.ts';
import type { Presence } from '../presence/state.ts';
import { ReviewDesk } from '../review/desk.ts';
import { type Batch, Feed } from '../session/feed.ts';
import { openIdentity, savePerson } from '../session/identity.ts';
import { type ConnectionState, MapSession } from '../session/session.ts';
import { details, position, titleOf } from './details.ts';
import { count } from './dom.ts';
import { Doorbell } from './doorbell.ts';
import { type Findable, Finder } from './finder.ts';
import { type Layout, layout } from './layout.ts';
import { People } from './people.ts';
import { Review } from './review.ts';
import { StatusPill } from './status.ts';
import { Unsent } from './unsent.ts';
import { formatHash, parseHash } from './viewHash.ts';

type Tool = { kind: 'look' } | { kind: 'add' } | { kind: 'move'; fid: string };

/** A message stays long enough to be read twice. */
const MESSAGE_MS = 6_000;
const NUDGE_ZOOM = 1;

export async function showMap(root: HTMLElement, name: string): Promise<void> {
  const check = checkName(name);
  if (check.ok) new MapPage(root, name, new MapSession(name, await openIdentity(), sessionEvents));
}

/** The page is made after the session, which speaks up only later. */
let page: MapPage | null = null;
const sessionEvents = {
  refused: (why: string) => page?.say(why),
  undoChanged: () => page?.showUndo(),
};

class MapPage {
  readonly #session: MapSession;
  readonly #layout: Layout;
  readonly #map: MapWidget;
  readonly #status = new StatusPill();
  readonly #unsent: Unsent;
  readonly #people: People;
  readonly #finder: Finder;
  readonly #review: Review;
  readonly #doorbell = new Doorbell();
  readonly #found = new Map<string, Findable>();
  #tool: Tool = { kind: 'look' };
  #selected: string | null = null;
  #hasFitted = parseHash(location.hash) !== null;
  #hasSynced = false;
  #isClosed = false;
  #messageTimer: ReturnType<typeof setTimeout> | null = null;

  constructor(root: HTMLElement, name: string, session: MapSession) {
    page = this;
    this.#session = session;
    this.#people = new People(session.identity.person, {
      rename: (person) => {
        savePerson(person);
        session.presence.setPerson(person);
        session.identity.person = person;
        this.#people.show(session.presence.others());
      },
      goTo: (presence) => this.#goTo(presence),
    });
    this.#finder = new Finder(
      () => this.#found.values(),
      (fid) => {
        this.#finder.toggle(false);
        this.#select(fid, true);
        this.#map.fit(fid);
      },
    );
    this.#layout = layout(name, {
      add: () => this.#use(this.#tool.kind === 'add' ? { kind: 'look' } : { kind: 'add' }),
      undo: () => session.undo.undo(),
      redo: () => session.undo.redo(),
      fit: () => this.#fitAll(),
      zoomIn: () => this.#map.zoomBy(NUDGE_ZOOM),
      zoomOut: () => this.#map.zoomBy(-NUDGE_ZOOM),
      find: () => this.#toggleFinder(),
    });
    this.#unsent = new Unsent(session, this.#status.element, (text) => this.say(text));
    this.#review = new Review(new ReviewDesk(name), {
      preview: (changes, panel) => this.#map.preview(changes, panel),
      say: (text) => this.say(text),
    });
    this.#layout.status.append(this.#unsent.button);
    this.#layout.people.append(this.#review.button, this.#people.button);
    this.#layout.bottom.prepend(this.#doorbell.element);
    this.#layout.popovers.append(this.#unsent.panel, this.#people.panel, this.#review.panel, this.#finder.panel);
    root.replaceChildren(this.#layout.root);
    this.#map = new MapWidget(this.#layout.map, {
      click: (at, fid) => this.#clicked(at, fid),
      pointer: (at) => session.presence.setCursor(at && [round(at[0]), round(at[1])]),
      moved: (bounds) => this.#moved(bounds),
    });
    const view = parseHash(location.hash);
    if (view) this.#map.setView(view.lonLat, view.zoom);
    new Feed(session.view, (batch, left) => this.#draw(batch, left));
    session.onConnection((state) => this.#connected(state));
    void session.provider.loaded.then((hasContent) => hasContent && this.#hasContent());
    session.presence.onChange((others) => this.#met(others));
    window.addEventListener('beforeunload', (event) => {
      // What is on the device is sent when the page is opened again.
      if (session.connection.edits.memory > 0) event.preventDefault();
    });
    document.addEventListener('keydown', (event) => this.#key(event));
    this.#connected(session.connection);
    this.showUndo();
    this.#title(name);
  }

  say(text: string): void {
    this.#layout.message.textContent = text;
    this.#layout.message.hidden = false;
    if (this.#messageTimer !== null) clearTimeout(this.#messageTimer);
    this.#messageTimer = setTimeout(() => {
      this.#layout.message.hidden = true;
    }, MESSAGE_MS);
  }

  showUndo(): void {
    const { undo, view } = this.#session;
    const mayEdit = this.#hasSynced && view.isWritable();
    this.#layout.undo.disabled = !mayEdit || !undo.canUndo();
    this.#layout.redo.disabled = !mayEdit || !undo.canRedo();
    this.#layout.add.disabled = !mayEdit;
  }

  #title(name: string): void {
    const title = this.#session.view.title() ?? name;
    this.#layout.title.textContent = title;
    document.title = `${title} · Mapweave`;
  }

  #connected(state: ConnectionState): void {
    this.#status.show(state);
    this.#unsent.show();
    this.#doorbell.connected(state.link.kind === 'live');
    this.#review.connected(state.link.kind === 'live');
    const wasClosed = this.#isClosed;
    this.#isClosed = state.link.kind === 'closed';
    if (this.#isClosed && !wasClosed) this.say(this.#status.element.title);
    if (state.link.kind === 'live') this.#hasContent();
  }

  /** The content is here, from the server or from this device: from now on the map can be edited. */
  #hasContent(): void {
    if (this.#hasSynced) return;
    this.#hasSynced = true;
    // The view moves by itself only for what was there before the page.
    if (this.#session.view.ids().length === 0) this.#hasFitted = true;
    if (!this.#session.view.isWritable())
      this.say('This map was made by a newer program; it can be looked at but not edited here.');
    this.showUndo();
    this.#showCount();
  }

  #met(others: Presence[]): void {
    this.#map.cursors.show(others);
    this.#people.show(others);
    this.#doorbell.see(others.map(({ client, person }) => ({ client, name: person.name })));
  }

  #draw(batch: Batch, left: number): void {
    const drawables = new Map(
      [...batch].map(([fid, feature]) => [
        fid,
        feature && {
          fid,
          title: titleOf(feature),
          geometry: feature.geometry,
          isContested: feature.state === 'contested',
        },
      ]),
    );
    for (const [fid, feature] of batch) {
      if (feature) this.#found.set(fid, findable(feature));
      else this.#found.delete(fid);
    }
    this.#map.features.update(drawables);
    if (this.#selected !== null && batch.has(this.#selected))
      this.#select(this.#found.has(this.#selected) ? this.#selected : null, false);
    this.#layout.map.dataset.features = `${this.#found.size}`;
    this.#showCount(left);
    if (left === 0 && this.#hasSynced && !this.#hasFitted) {
      this.#hasFitted = true;
      this.#map.fit(undefined, false);
    }
  }

  #showCount(left = 0): void {
    const total = count(this.#found.size, 'feature');
    this.#layout.count.textContent = left > 0 ? `${total}, ${new Intl.NumberFormat('en').format(left)} to come` : total;
    this.#layout.hint.hidden = !(this.#hasSynced && left === 0 && this.#found.size === 0 && this.#tool.kind === 'look');
  }

  #moved(bounds: [number, number, number, number]): void {
    this.#session.presence.setView(bounds);
    history.replaceState(null, '', formatHash({ zoom: this.#map.zoom(), lonLat: this.#map.centre() }));
  }

  #clicked(at: [number, number], fid: string | null): void {
    if (this.#tool.kind === 'add') this.#add(at);
    else if (this.#tool.kind === 'move') this.#move(this.#tool.fid, at);
    else this.#select(fid, false);
  }

  #add(at: [number, number]): void {
    this.#session.writer.createPoint(this.#precise(at));
    this.say(`Point added at ${position(this.#precise(at))}.`);
  }

  #move(fid: string, at: [number, number]): void {
    const isMoved = this.#session.writer.movePoint(fid, this.#precise(at));
    this.say(
      isMoved
        ? `Point moved to ${position(this.#precise(at))}.`
        : 'This feature is no point any more and was not moved.',
    );
    this.#use({ kind: 'look' });
  }

  #remove(fid: string): void {
    this.#session.writer.delete(fid);
    this.#select(null, false);
    this.say('Deleted. Undo brings it back.');
  }

  /** As many decimals as the screen can tell apart, and one more. */
  #precise(at: [number, number]): [number, number] {
    const decimals = Math.min(9, Math.max(2, Math.ceil(this.#map.zoom() * Math.LOG10E * Math.LN2) + 1));
    return [Number(at[0].toFixed(decimals)), Number(at[1].toFixed(decimals))];
  }

  #use(tool: Tool): void {
    this.#tool = tool;
    const isAdding = tool.kind === 'add';
    this.#layout.add.setAttribute('aria-pressed', `${isAdding}`);
    this.#layout.map.dataset.tool = tool.kind;
    this.#layout.tip.hidden = tool.kind === 'look';
    this.#layout.tip.textContent = isAdding
      ? 'Click or tap the map to add points; Enter adds one at the cross. Esc ends.'
      : 'Click or tap the new place; Enter takes the cross. Esc ends.';
    this.#map.setDoubleClickZoom(tool.kind === 'look');
    this.#showCount();
    if (tool.kind !== 'look') this.#map.focus();
  }

  #select(fid: string | null, moveFocus: boolean): void {
    const feature = fid === null ? null : this.#session.view.feature(fid);
    this.#selected = feature ? fid : null;
    this.#map.features.select(this.#selected);
    this.#session.presence.setSelected(this.#selected);
    this.#layout.panel.hidden = !feature;
    if (!feature) return this.#layout.panel.replaceChildren();
    this.#layout.panel.replaceChildren(...this.#details(feature));
    if (moveFocus) this.#layout.panel.querySelector('h2')?.focus();
  }

  #details(feature: Feature): HTMLElement[] {
    const { view } = this.#session;
    const { fid } = feature;
    const mayEdit = this.#hasSynced && view.isWritable();
    const isPoint = feature.geometry?.type === 'Point';
    return details(
      feature,
      {
        nameOf: (sid) => this.#session.nameOf(sid),
        layerName: view.layers.name(feature.layer),
        concurrent: view.concurrentValues(fid).length,
      },
      {
        close: () => {
          this.#select(null, false);
          this.#map.focus();
        },
        zoom: () => this.#map.fit(fid),
        move: mayEdit && isPoint ? () => this.#use({ kind: 'move', fid }) : null,
        remove: mayEdit && isPoint && this.#session.isOwn(feature.created.sid) ? () => this.#remove(fid) : null,
      },
    );
  }

  #goTo({ cursor, view, selected }: Presence): void {
    this.#people.toggle(false);
    if (cursor) this.#map.goTo(cursor);
    else if (selected !== null && this.#map.fit(selected)) return;
    else if (view) this.#map.goTo([(view[0] + view[2]) / 2, (view[1] + view[3]) / 2]);
  }

  #fitAll(): void {
    if (!this.#map.fit()) this.say('There is nothing on this map yet.');
  }

  #toggleFinder(isOpen?: boolean): void {
    this.#people.toggle(false);
    this.#finder.toggle(isOpen);
  }

  #key(event: KeyboardEvent): void {
    const isTyping = event.target instanceof HTMLInputElement;
    const isCommand = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    if (key === 'escape') this.#escape();
    else if (isTyping) return;
    else if (isCommand && key === 'z' && !event.shiftKey) this.#layout.undo.click();
    else if (isCommand && (key === 'y' || (key === 'z' && event.shiftKey))) this.#layout.redo.click();
    else if (isCommand || event.altKey) return;
    else if (key === 'a') this.#layout.add.click();
    else if (key === 'f') this.#fitAll();
    else if (key === '/') this.#toggleFinder(true);
    else if (key === 'enter' && event.target === this.#layout.map && this.#tool.kind !== 'look')
      this.#clicked(this.#map.centre(), null);
    else return;
    event.preventDefault();
  }

  #escape(): void {
    if (!this.#finder.panel.hidden) this.#finder.toggle(false);
    else if (!this.#unsent.panel.hidden) this.#unsent.toggle(false);
    else if (!this.#people.panel.hidden) this.#people.toggle(false);
    else if (!this.#review.panel.hidden) this.#review.toggle(false);
    else if (this.#tool.kind !== 'look') this.#use({ kind: 'look' });
    else this.#select(null, false);
    this.#map.focus();
  }
}

function findable(feature: Feature): Findable {
  const title = titleOf(feature);
  const texts = [...feature.properties.values()].filter(
    (value) => typeof value === 'string' || typeof value === 'number',
  );
  return { fid: feature.fid, title, text: [title, feature.id, ...texts].join(' ').toLowerCase().slice(0, 500) };
}

/** Six decimals are finer than any pointer. */
function round(x: number): number {
  return Number(x.toFixed(6));
}
