// Colours of the drawn map, for light and dark surroundings.

export interface Palette {
  water: string;
  land: string;
  graticule: string;
  fill: string;
  line: string;
  point: string;
  pointEdge: string;
  selectedFill: string;
  selected: string;
  contested: string;
  /** What an edit would change: as it is now, and as it would be. */
  before: string;
  after: string;
  afterFill: string;
  label: string;
  labelHalo: string;
}

const LIGHT: Palette = {
  water: '#dfe9ef',
  land: '#f6f5f0',
  graticule: 'rgba(70, 95, 110, 0.14)',
  fill: 'rgba(20, 118, 128, 0.10)',
  line: '#2b8a93',
  point: '#0b6670',
  pointEdge: '#ffffff',
  selectedFill: 'rgba(217, 93, 20, 0.20)',
  selected: '#c8500d',
  contested: '#b7791f',
  before: '#9f1d35',
  after: '#5b21b6',
  afterFill: 'rgba(91, 33, 182, 0.18)',
  label: '#23414a',
  labelHalo: 'rgba(255, 255, 255, 0.85)',
};

const DARK: Palette = {
  water: '#12212b',
  land: '#1d2f38',
  graticule: 'rgba(170, 200, 215, 0.10)',
  fill: 'rgba(76, 190, 196, 0.10)',
  line: '#3f9aa2',
  point: '#5fd0d6',
  pointEdge: '#0d1a21',
  selectedFill: 'rgba(255, 154, 77, 0.24)',
  selected: '#ff9a4d',
  contested: '#e6b450',
  before: '#ff9aa8',
  after: '#c4a6ff',
  afterFill: 'rgba(196, 166, 255, 0.22)',
  label: '#cfe3e8',
  labelHalo: 'rgba(13, 26, 33, 0.85)',
};

const dark = window.matchMedia('(prefers-color-scheme: dark)');

export function palette(): Palette {
  return dark.matches ? DARK : LIGHT;
}

/** Calls `listener` when the surroundings turn light or dark. Returns how to stop that. */
export function onPaletteChange(listener: () => void): () => void {
  dark.addEventListener('change', listener);
  return () => dark.removeEventListener('change', listener);
}
