// The pointers of the others, as small arrows with a name.

import type OlMap from 'ol/Map.js';
import Overlay from 'ol/Overlay.js';
import type { Presence } from '../presence/state.ts';
import { h, icon } from '../ui/dom.ts';
import { toMercator } from './geometry.ts';

export class Cursors {
  readonly #map: OlMap;
  readonly #shown = new Map<number, { overlay: Overlay; element: HTMLElement; label: HTMLElement }>();

  constructor(map: OlMap) {
    this.#map = map;
  }

  show(others: readonly Presence[]): void {
    const present = new Set<number>();
    for (const { client, person, cursor } of others) {
      if (!cursor) continue;
      present.add(client);
      const { overlay, element, label } = this.#shown.get(client) ?? this.#add(client);
      element.style.setProperty('--person', person.colour);
      if (label.textContent !== person.name) label.textContent = person.name;
      overlay.setPosition(this.#nearest(cursor));
    }
    for (const [client, { overlay }] of this.#shown) {
      if (present.has(client)) continue;
      this.#map.removeOverlay(overlay);
      this.#shown.delete(client);
    }
  }

  #add(client: number) {
    const label = h('span', { class: 'cursor-name' });
    const element = h(
      'div',
      { class: 'cursor', 'aria-hidden': 'true', 'data-client': `${client}` },
      icon('cursor'),
      label,
    );
    const overlay = new Overlay({ element, positioning: 'top-left', stopEvent: false });
    this.#map.addOverlay(overlay);
    const shown = { overlay, element, label };
    this.#shown.set(client, shown);
    return shown;
  }

  /** On the copy of the world that is in view. */
  #nearest(cursor: readonly [number, number]): [number, number] {
    const [x, y] = toMercator(cursor);
    const centre = this.#map.getView().getCenter()?.[0] ?? 0;
    const world = 2 * Math.PI * 6_378_137;
    return [x + Math.round((centre - x) / world) * world, y];
  }
}
