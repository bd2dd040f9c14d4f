// The view in the address, so that a reload or a shared link shows the same place: `#zoom/latitude/longitude`.

export interface ViewState {
  zoom: number;
  lonLat: [number, number];
}

export function formatHash({ zoom, lonLat: [lon, lat] }: ViewState): string {
  return `#${zoom.toFixed(2)}/${lat.toFixed(5)}/${lon.toFixed(5)}`;
}

/** Null for anything that is no view. */
export function parseHash(hash: string): ViewState | null {
  const match = /^#(\d{1,2}(?:\.\d+)?)\/(-?\d{1,2}(?:\.\d+)?)\/(-?\d{1,3}(?:\.\d+)?)$/.exec(hash);
  if (!match) return null;
  const [zoom = 0, lat = 0, lon = 0] = match.slice(1).map(Number);
  return Math.abs(lat) <= 90 && Math.abs(lon) <= 180 ? { zoom, lonLat: [lon, lat] } : null;
}
