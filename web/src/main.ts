// Which page this address is, and that page.

import { route } from './names.ts';
import { takeToken } from './session/token.ts';
import { h } from './ui/dom.ts';
import './style.css';

takeToken();
const root = document.getElementById('app');
if (root) void show(root);

async function show(target: HTMLElement): Promise<void> {
  const where = route(location.pathname);
  switch (where.page) {
    case 'home': {
      const { showHome } = await import('./ui/home.ts');
      return showHome(target);
    }
    case 'map': {
      const { showMap } = await import('./ui/mapPage.ts');
      return showMap(target, where.name);
    }
    case 'invalid':
      document.title = 'Not found · Mapweave';
      target.replaceChildren(
        h(
          'main',
          { class: 'home' },
          h('h1', {}, 'Nothing here'),
          h('p', {}, where.reason),
          h('p', {}, h('a', { href: '/' }, 'To the list of maps')),
        ),
      );
  }
}
