// The list of maps, and the field that opens or makes one.

import { listMaps, type MapInfo } from '../api.ts';
import { checkName, NAME_RULES, namePath } from '../names.ts';
import { ago, count, h } from './dom.ts';

export function showHome(root: HTMLElement): void {
  document.title = 'Maps · Mapweave';
  const list = h(
    'div',
    { class: 'maps', 'aria-live': 'polite' },
    h('p', { class: 'quiet' }, 'Loading the list of maps…'),
  );
  root.replaceChildren(
    h(
      'main',
      { class: 'home' },
      h(
        'header',
        { class: 'home-head' },
        h('h1', {}, 'Mapweave'),
        h('p', {}, 'Maps that several people edit at once, with or without a network.'),
      ),
      openForm(),
      h('section', { 'aria-labelledby': 'maps-title' }, h('h2', { id: 'maps-title' }, 'Maps on this server'), list),
    ),
  );
  void fill(list);
}

function openForm(): HTMLFormElement {
  const input = h('input', {
    id: 'map-name',
    name: 'name',
    type: 'text',
    autocomplete: 'off',
    autocapitalize: 'off',
    spellcheck: 'false',
    placeholder: 'north fields/2026',
    'aria-describedby': 'name-rules name-fault',
  });
  const fault = h('p', { id: 'name-fault', class: 'fault', role: 'alert' });
  const form = h(
    'form',
    { class: 'open-form', novalidate: true },
    h('label', { for: 'map-name' }, 'Open or create a map'),
    h('div', { class: 'row' }, input, h('button', { type: 'submit', class: 'button primary' }, 'Open map')),
    fault,
    h('p', { id: 'name-rules', class: 'quiet' }, `${NAME_RULES} A new map comes to be with its first edit.`),
  );
  input.addEventListener('input', () => {
    fault.textContent = '';
    input.removeAttribute('aria-invalid');
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const check = checkName(input.value.trim());
    if (check.ok) {
      location.assign(`/m/${namePath(check.name)}`);
      return;
    }
    fault.textContent = check.reason;
    input.setAttribute('aria-invalid', 'true');
    input.focus();
  });
  return form;
}

async function fill(list: HTMLElement): Promise<void> {
  const result = await listMaps();
  if (!result.ok) {
    const again = h('button', { type: 'button', class: 'button' }, 'Try again');
    again.addEventListener('click', () => void fill(list));
    list.replaceChildren(h('p', { class: 'fault' }, result.reason), again);
    return;
  }
  if (result.maps.length === 0) {
    list.replaceChildren(h('p', { class: 'empty' }, 'There is no map yet. Type a name above to start the first one.'));
    return;
  }
  const byEdit = (a: MapInfo, b: MapInfo) =>
    (b.lastEdit ?? '').localeCompare(a.lastEdit ?? '') || a.name.localeCompare(b.name);
  list.replaceChildren(h('ul', {}, ...[...result.maps].sort(byEdit).map(item)));
}

function item({ name, title, features, lastEdit }: MapInfo): HTMLElement {
  const edited = lastEdit === null ? null : new Date(lastEdit);
  const isDate = edited !== null && !Number.isNaN(edited.getTime());
  return h(
    'li',
    {},
    h(
      'a',
      { href: `/m/${namePath(name)}` },
      h('span', { class: 'map-name' }, title ?? name),
      title === null ? null : h('span', { class: 'quiet' }, name),
      h('span', { class: 'map-facts' }, count(features, 'feature')),
      h(
        'span',
        { class: 'map-facts' },
        isDate
          ? h('time', { datetime: lastEdit ?? '', title: edited.toLocaleString() }, `edited ${ago(edited)}`)
          : 'never edited',
      ),
    ),
  );
}
