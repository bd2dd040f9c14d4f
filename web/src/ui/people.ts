// Who is here: own name and colour to change, the others to jump to.

import type { Presence } from '../presence/state.ts';
import { COLOURS, cutName, type Person } from '../session/identity.ts';
import { h, icon } from './dom.ts';

/** Faces shown beside the button before they are only counted. */
const FACES_MAX = 4;

export interface PeopleEvents {
  rename: (person: Person) => void;
  goTo: (presence: Presence) => void;
}

export class People {
  readonly button: HTMLButtonElement;
  readonly panel: HTMLElement;
  readonly #faces = h('span', { class: 'faces' });
  readonly #list = h('ul', { class: 'people-list' });
  readonly #events: PeopleEvents;
  #person: Person;

  constructor(person: Person, events: PeopleEvents) {
    this.#person = person;
    this.#events = events;
    this.button = h(
      'button',
      { type: 'button', class: 'button people', 'aria-expanded': 'false', 'aria-controls': 'people' },
      this.#faces,
    );
    this.panel = h(
      'section',
      { id: 'people', class: 'popover', 'aria-label': 'People on this map', hidden: true },
      h('h2', {}, 'You'),
      this.#form(),
      h('h2', {}, 'Also here'),
      this.#list,
    );
    this.button.addEventListener('click', () => this.toggle());
    this.show([]);
  }

  toggle(isOpen = this.panel.hidden): void {
    this.panel.hidden = !isOpen;
    this.button.setAttribute('aria-expanded', `${isOpen}`);
  }

  show(others: readonly Presence[]): void {
    const everybody = [this.#person, ...others.map((other) => other.person)];
    const label = others.length === 0 ? 'People: only you' : `People: you and ${others.length} more`;
    this.button.setAttribute('aria-label', label);
    this.button.title = label;
    this.button.dataset.others = `${others.length}`;
    const more = everybody.length - FACES_MAX;
    this.#faces.replaceChildren(
      ...everybody.slice(0, FACES_MAX).map(face),
      ...(more > 0 ? [h('span', { class: 'face more' }, `+${more}`)] : []),
      icon('people'),
    );
    this.#list.replaceChildren(
      ...(others.length === 0
        ? [h('li', { class: 'empty' }, 'Nobody else. Open this page in a second window to see two.')]
        : others.map((other) => this.#row(other))),
    );
  }

  #row(other: Presence): HTMLElement {
    const where = other.cursor ?? other.view;
    const jump = h(
      'button',
      { type: 'button', class: 'button flat', title: `Go to ${other.person.name}`, disabled: where === null },
      face(other.person),
      h('span', { class: 'name' }, other.person.name),
    );
    jump.addEventListener('click', () => this.#events.goTo(other));
    return h('li', {}, jump);
  }

  #form(): HTMLFormElement {
    const name = h('input', {
      type: 'text',
      id: 'own-name',
      value: this.#person.name,
      maxlength: '40',
      autocomplete: 'nickname',
      'aria-label': 'Your name',
    });
    const change = (part: Partial<Person>) => {
      this.#person = { ...this.#person, ...part };
      this.#events.rename(this.#person);
    };
    name.addEventListener('change', () => {
      const text = cutName(name.value);
      if (text === '') name.value = this.#person.name;
      else change({ name: text });
    });
    const colours = COLOURS.map((colour, i) => {
      const input = h('input', {
        type: 'radio',
        name: 'colour',
        value: colour,
        checked: colour === this.#person.colour,
        'aria-label': `Colour ${i + 1}`,
      });
      input.style.setProperty('--person', colour);
      input.addEventListener('change', () => change({ colour }));
      return input;
    });
    const form = h(
      'form',
      { class: 'own' },
      name,
      h('div', { class: 'colours', role: 'radiogroup', 'aria-label': 'Your colour' }, ...colours),
    );
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      name.blur();
    });
    return form;
  }
}

function face(person: Person): HTMLElement {
  const initials = person.name
    .split(/\s+/u)
    .slice(0, 2)
    .map((word) => [...word][0] ?? '')
    .join('');
  const element = h('span', { class: 'face', 'aria-hidden': 'true' }, initials.toUpperCase());
  element.style.setProperty('--person', person.colour);
  return element;
}
