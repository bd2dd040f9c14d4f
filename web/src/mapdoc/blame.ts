// Who did what when: per vertex and per property, from the entries themselves.

import { type Entry, winner } from './entry.ts';
import { currentGeneration, type NamedSegment, readStructure, segmentName, vertexKey } from './geometry.ts';
import type { Position } from './shape.ts';
import { compareBytes, type Json, toJson } from './values.ts';
import type { MapView } from './view.ts';

/** When and in which session something was written. */
export interface Authorship {
  /** Seconds since 1970-01-01 UTC, by the writer's clock. */
  time: number;
  /** The session; `MapView.sessionName` knows whose. */
  sid: string;
}

/** A value that one session gave; absent where it says "removed". */
export interface Version extends Authorship {
  value?: Json;
}

export interface VertexBlame {
  /** `P.S` */
  segment: string;
  /** Order key in the segment. */
  vertex: string;
  position: Position;
  /** Who put it where it is. */
  set: Authorship;
  /** All that sessions say about it, the one that shows first; more than one is a conflict. None for a vertex never edited. */
  versions: Version[];
}

export interface PropertyBlame {
  name: string;
  value: Json;
  set: Authorship;
  /** All that sessions say about it, the one that shows first; more than one is a conflict. None for a property never edited. */
  versions: Version[];
}

/** Every vertex of a feature, in order; none for an unknown feature and for geometries without vertices of their own. */
export function blameVertices(view: MapView, fid: string): VertexBlame[] {
  const record = view.record(fid);
  if (!record) return [];
  const current = currentGeneration(view.overlays, fid, record);
  const base = current.author;
  const structure = readStructure(view.overlays, fid, current);
  return (structure?.parts.flat() ?? []).flatMap((segment) => {
    const drawn = segmentAuthor(view, fid, current.gen, segment) ?? base;
    return segment.positions.map((position, i): VertexBlame => {
      const vertex = vertexKey(segment, i);
      const entries = view.overlays.entries('vert', fid, `${current.gen}/${segmentName(segment)}.${vertex}`);
      const shown = winner(entries);
      return {
        segment: segmentName(segment),
        vertex,
        position,
        set: shown ? authorship(shown) : drawn,
        versions: versions(entries, (payload) => (payload.length === 0 ? undefined : toJson(payload))),
      };
    });
  });
}

/** Every property of a feature that shows or about which sessions disagree, by name. */
export function blameProperties(view: MapView, fid: string): PropertyBlame[] {
  const record = view.record(fid);
  const properties = view.properties(fid);
  if (!record || !properties) return [];
  return [...properties].map(([name, value]): PropertyBlame => {
    const entries = view.overlays.entries('prop', fid, name);
    const [text] = view.texts.of(fid).filter((text) => text.name === name && text.text.toString() !== '');
    const shown = winner(entries);
    const typed = text && textAuthor(view, fid, name);
    return {
      name,
      value,
      set: typed ?? (shown ? authorship(shown) : { time: record.time, sid: record.sid }),
      versions: versions(entries, ([item]) => (item === undefined ? undefined : toJson(item))),
    };
  });
}

/** All that sessions say about one target of a feature, the one that shows first. */
export function versionsOf(
  view: MapView,
  root: 'part' | 'vert' | 'prop' | 'attr',
  fid: string,
  target: string,
): Version[] {
  const read = (payload: readonly unknown[]) => {
    if (payload.length === 0) return undefined;
    return toJson(root === 'vert' ? payload : payload[0]);
  };
  return versions(view.overlays.entries(root, fid, target), read);
}

function versions(entries: Entry[], read: (payload: readonly unknown[]) => Json | undefined): Version[] {
  const shown = winner(entries);
  const others = entries
    .filter((entry) => entry !== shown)
    .sort((a, b) => b.time - a.time || compareBytes(b.sid, a.sid));
  return (shown ? [shown, ...others] : []).map((entry) => {
    const value = read(entry.payload);
    return value === undefined ? authorship(entry) : { ...authorship(entry), value };
  });
}

/** Who drew an added segment. */
function segmentAuthor(view: MapView, fid: string, gen: string, segment: NamedSegment): Authorship | null {
  if (segment.isBase) return null;
  const drawn = view.overlays.winner('part', fid, `${gen}/${segmentName(segment)}`);
  return drawn && authorship(drawn);
}

/** The latest spell of typing into a property's text that its typists noted, if they did. */
function textAuthor(view: MapView, fid: string, name: string): Authorship | null {
  const spells = view.overlays.entries('attr', fid, 'text').filter(({ payload }) => payload[0] === name);
  const last = winner(spells);
  return last && authorship(last);
}

function authorship({ time, sid }: Entry): Authorship {
  return { time, sid };
}
