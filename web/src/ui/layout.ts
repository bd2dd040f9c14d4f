// The elements of the map page and where they stand; what they do is handed in.

import { ATTRIBUTION } from '../map/basemap.ts';
import { h, icon, iconButton } from './dom.ts';

export interface LayoutActions {
  add: () => void;
  undo: () => void;
  redo: () => void;
  fit: () => void;
  zoomIn: () => void;
  zoomOut: () => void;
  find: () => void;
}

export interface Layout {
  root: HTMLElement;
  map: HTMLElement;
  title: HTMLElement;
  count: HTMLElement;
  status: HTMLElement;
  people: HTMLElement;
  /** Lines and tools at the lower edge. */
  bottom: HTMLElement;
  popovers: HTMLElement;
  panel: HTMLElement;
  tip: HTMLElement;
  hint: HTMLElement;
  message: HTMLElement;
  add: HTMLButtonElement;
  undo: HTMLButtonElement;
  redo: HTMLButtonElement;
}

export function layout(name: string, actions: LayoutActions): Layout {
  const map = h('div', {
    id: 'map',
    class: 'map',
    tabindex: '0',
    role: 'application',
    'aria-label': `Map ${name}. Arrow keys move it, plus and minus zoom, A adds points, slash finds features.`,
    'data-tool': 'look',
  });
  const title = h('h1', {}, name);
  const total = h('p', { class: 'quiet', role: 'status' });
  const status = h('div', { class: 'slot' });
  const people = h('div', { class: 'slot' });
  const popovers = h('div', { class: 'popovers' });
  const panel = h('aside', { class: 'panel', 'aria-label': 'Feature', hidden: true });
  const tip = h('p', { class: 'tip', role: 'status', hidden: true });
  const hint = h('p', { class: 'hint', hidden: true }, 'This map is empty. Press “Add point” and click the map.');
  const message = h('p', { class: 'message', role: 'status', hidden: true });
  const add = h(
    'button',
    { type: 'button', class: 'button primary', 'aria-pressed': 'false', title: 'Add point (A)' },
    icon('add'),
    h('span', {}, 'Add point'),
  );
  add.addEventListener('click', actions.add);
  const undo = iconButton('undo', 'Undo', actions.undo, 'Ctrl+Z');
  const redo = iconButton('redo', 'Redo', actions.redo, 'Ctrl+Y');
  const head = h(
    'header',
    { class: 'card head' },
    h('a', { class: 'button icon flat', href: '/', 'aria-label': 'All maps', title: 'All maps' }, icon('back')),
    h('div', { class: 'names' }, title, total),
  );
  const tools = h('div', { class: 'card tools', role: 'toolbar', 'aria-label': 'Edit' }, add, undo, redo);
  const bottom = h('div', { class: 'bottom' }, message, tip, hint, tools);
  const view = h(
    'div',
    { class: 'card view', role: 'toolbar', 'aria-label': 'View', 'aria-orientation': 'vertical' },
    iconButton('search', 'Find', actions.find, '/'),
    iconButton('fit', 'Zoom to all', actions.fit, 'F'),
    iconButton('plus', 'Zoom in', actions.zoomIn, '+'),
    iconButton('minus', 'Zoom out', actions.zoomOut, '−'),
  );
  const root = h(
    'main',
    { class: 'map-page' },
    map,
    h('div', { class: 'cross', 'aria-hidden': 'true' }),
    head,
    h('div', { class: 'corner' }, status, people),
    popovers,
    view,
    panel,
    bottom,
    h('p', { class: 'attribution' }, ATTRIBUTION),
  );
  return {
    root,
    map,
    title,
    count: total,
    status,
    people,
    bottom,
    popovers,
    panel,
    tip,
    hint,
    message,
    add,
    undo,
    redo,
  };
}
