// Small helpers to build elements. Text always goes in as text, never as markup.

type Child = Node | string | null;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | boolean> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, '');
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** A button with an icon and a name for those who do not see it. */
export function iconButton(name: IconName, label: string, onClick: () => void, hint = ''): HTMLButtonElement {
  const title = hint === '' ? label : `${label} (${hint})`;
  const button = h('button', { type: 'button', class: 'button icon', 'aria-label': label, title }, icon(name));
  button.addEventListener('click', onClick);
  return button;
}

const ICONS = {
  add: 'M12 21s-7-6.2-7-11.5a7 7 0 0 1 14 0C19 14.8 12 21 12 21zM12 6.5v6M9 9.5h6',
  undo: 'M9 14 4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3',
  redo: 'm15 14 5-5-5-5M20 9H10a6 6 0 0 0 0 12h3',
  fit: 'M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5',
  plus: 'M12 5v14M5 12h14',
  minus: 'M5 12h14',
  search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4',
  close: 'M6 6l12 12M18 6 6 18',
  trash: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5',
  move: 'M12 3v18M3 12h18M9 6l3-3 3 3M9 18l3 3 3-3M6 9l-3 3 3 3M18 9l3 3-3 3',
  target: 'M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM12 2v4M12 18v4M2 12h4M18 12h4',
  cursor: 'M5 3l14 8-6.5 1.5L9 19z',
  people:
    'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20c0-3.6 2.9-6 6.5-6s6.5 2.4 6.5 6M16 4.5a3.5 3.5 0 0 1 0 6.5M18 14.5c2.1.8 3.5 2.8 3.5 5.5',
  back: 'M15 5l-7 7 7 7',
  review: 'M4 5h16v10H9l-5 4zM8 9h8M8 12h5',
} as const;

export type IconName = keyof typeof ICONS;

export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  svg.classList.add('svg', `svg-${name}`);
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

/** "just now", "5 minutes ago", "3 March 2026". */
export function ago(time: Date, now = new Date()): string {
  const seconds = Math.round((now.getTime() - time.getTime()) / 1000);
  const format = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
  if (Math.abs(seconds) < 45) return 'just now';
  if (Math.abs(seconds) < 45 * 60) return format.format(-Math.round(seconds / 60), 'minute');
  if (Math.abs(seconds) < 22 * 3600) return format.format(-Math.round(seconds / 3600), 'hour');
  if (Math.abs(seconds) < 26 * 86_400) return format.format(-Math.round(seconds / 86_400), 'day');
  return new Intl.DateTimeFormat('en', { dateStyle: 'long' }).format(time);
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${new Intl.NumberFormat('en').format(n)} ${n === 1 ? one : many}`;
}
