// What the side panel says about one feature.

import type { Json } from '../mapdoc/values.ts';
import type { Authorship, Feature } from '../mapdoc/view.ts';
import { ago, h, type IconName, icon } from './dom.ts';

/** Characters of a property value that are shown before the rest is cut off. */
const VALUE_LENGTH_MAX = 2_000;
const TITLE_PROPERTIES = ['name', 'Name', 'NAME', 'title', 'label'];

export interface DetailsActions {
  close: () => void;
  zoom: () => void;
  /** Null where this page may not do it. */
  move: (() => void) | null;
  remove: (() => void) | null;
}

export interface DetailsContext {
  /** How to call a session. */
  nameOf: (sid: string) => string;
  layerName: string | null;
  /** Targets on which people disagree. */
  concurrent: number;
}

export function titleOf(feature: Feature): string {
  return titleIn((name) => feature.properties.get(name));
}

/** The name that properties give a feature; empty if they give none. */
export function titleIn(property: (name: string) => unknown): string {
  for (const name of TITLE_PROPERTIES) {
    const value = property(name);
    if (typeof value === 'string' && value.trim() !== '') return value;
  }
  return '';
}

export function details(feature: Feature, context: DetailsContext, actions: DetailsActions): HTMLElement[] {
  const kind = feature.geometry?.type ?? 'No geometry';
  const title = titleOf(feature);
  const close = button('close', 'Close', actions.close, true);
  const head = h(
    'header',
    { class: 'panel-head' },
    h(
      'div',
      {},
      h('h2', { tabindex: '-1' }, title === '' ? spaced(kind) : title),
      h('p', { class: 'quiet' }, title === '' ? `${feature.id}` : `${spaced(kind)} · ${feature.id}`),
    ),
    close,
  );
  const buttons = h(
    'div',
    { class: 'row actions' },
    button('target', 'Zoom to', actions.zoom),
    actions.move && button('move', 'Move', actions.move),
    actions.remove && button('trash', 'Delete', actions.remove),
  );
  return [head, ...notices(feature, context.concurrent), buttons, attributes(feature), facts(feature, context)];
}

function notices(feature: Feature, concurrent: number): HTMLElement[] {
  const notes: string[] = [];
  if (feature.state === 'contested')
    notes.push('Somebody deleted this feature while somebody else edited it. It stays until people decide.');
  if (concurrent > 0)
    notes.push('Two people changed the same thing at once. The later value shows, the other is kept.');
  if (feature.problems.includes('malformed geometry')) notes.push('Its geometry cannot be read.');
  else if (feature.problems.length > 0) notes.push('Part of its geometry has too few positions and is left out.');
  return notes.map((note) => h('p', { class: 'notice' }, note));
}

function attributes({ properties }: Feature): HTMLElement {
  if (properties.size === 0) return h('p', { class: 'empty' }, 'No properties.');
  return h(
    'dl',
    { class: 'attributes' },
    ...[...properties].flatMap(([name, value]) => [h('dt', {}, name), h('dd', { class: typeof value }, show(value))]),
  );
}

function show(value: Json): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > VALUE_LENGTH_MAX ? `${text.slice(0, VALUE_LENGTH_MAX)}…` : text;
}

function facts(feature: Feature, { nameOf, layerName }: DetailsContext): HTMLElement {
  const rows: [string, string][] = [];
  if (feature.geometry?.type === 'Point') rows.push(['Position', position(feature.geometry.coordinates)]);
  if (layerName !== null) rows.push(['Layer', layerName]);
  rows.push(['Created', authorship(feature.created, nameOf)]);
  if (feature.changed.time !== feature.created.time) rows.push(['Changed', authorship(feature.changed, nameOf)]);
  return h('dl', { class: 'facts' }, ...rows.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
}

function authorship({ time, sid }: Authorship, nameOf: (sid: string) => string): string {
  const date = new Date(time * 1000);
  const when = Number.isNaN(date.getTime()) ? 'at an unknown time' : ago(date);
  return `${when} by ${nameOf(sid)}`;
}

/** Latitude first, as people say it, with as many decimals as are there. */
export function position([lon = 0, lat = 0, height]: readonly number[]): string {
  const format = new Intl.NumberFormat('en', { minimumFractionDigits: 2, maximumFractionDigits: 7 });
  const place = `${format.format(Math.abs(lat))}° ${lat < 0 ? 'S' : 'N'}, ${format.format(Math.abs(lon))}° ${lon < 0 ? 'W' : 'E'}`;
  return height === undefined ? place : `${place}, ${height} m`;
}

/** MultiPolygon → Multipolygon, LineString → Line string. */
function spaced(kind: string): string {
  const words = kind.replace(/(?<=^Multi)[A-Z]/, (letter) => letter.toLowerCase()).replace(/(?<=[a-z])(?=[A-Z])/g, ' ');
  return words.charAt(0) + words.slice(1).toLowerCase();
}

function button(name: IconName, label: string, onClick: () => void, iconOnly = false): HTMLButtonElement {
  const element = iconOnly
    ? h('button', { type: 'button', class: 'button icon flat', 'aria-label': label, title: label }, icon(name))
    : h('button', { type: 'button', class: 'button' }, icon(name), label);
  element.addEventListener('click', onClick);
  return element;
}
