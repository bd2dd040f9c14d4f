// A feature's properties: its record's, overlaid with single edits and with texts that people type together (§6.6, §9).

import type { Overlays } from './overlays.ts';
import { type FeatureRecord, recordProperties } from './record.ts';
import type { Texts } from './texts.ts';
import { compareBytes, type Json, toJson } from './values.ts';

/** Sorted by the bytes of their names. */
export type Properties = ReadonlyMap<string, Json>;

export function readProperties(overlays: Overlays, texts: Texts, fid: string, record: FeatureRecord): Properties {
  const values = new Map<string, Json>(Object.entries(recordProperties(record) ?? {}));
  for (const name of overlays.targets('prop', fid)) {
    const entry = overlays.winner('prop', fid, name);
    if (!entry) continue;
    if (entry.payload.length === 0) values.delete(name);
    else values.set(name, toJson(entry.payload[0]));
  }
  for (const [name, text] of texts.read(fid)) values.set(name, text);
  return new Map([...values].sort(([a], [b]) => compareBytes(a, b)));
}
