// The operations on a map document in their JSON form, the same in every implementation. One operation is one action of a person,
// one transaction and one update.

import type { Geometry, Position } from '../shape.ts';
import type { Json } from '../values.ts';

/** Which of a feature's vertices: `P.S` and its order key. */
export interface VertexName {
  segment: string;
  vertex: string;
}

export type Properties = { [name: string]: Json };

/** A value to set, or null to remove what is set. */
export type Values = { [name: string]: Json };

/** Fields of layers that have a meaning. */
export const LAYER_FIELDS = ['name', 'order', 'visible', 'style', 'columns', 'gone'] as const;
/** Attributes of features that people set. */
export const SETTABLE_ATTRIBUTES = ['layer', 'order', 'style'] as const;
/** Roots in which a conflict can be settled by choosing one session's entry. */
export const SETTLED_ROOTS = ['geom', 'part', 'vert', 'prop', 'attr', 'layer'] as const;

export interface Create {
  op: 'create';
  /** New; `newFid` makes one. */
  fid: string;
  geometry: Geometry | null;
  properties: Properties;
  /** Layer id, or "" for none. */
  layer: string;
}

export interface MoveVertices {
  op: 'move_vertices';
  fid: string;
  moves: (VertexName & { position: Position })[];
}

/** A vertex between two neighbours, or with only one of them beyond it: at an open end, or on the closing edge of a ring. */
export interface InsertVertex {
  op: 'insert_vertex';
  fid: string;
  segment: string;
  after: string | null;
  before: string | null;
  position: Position;
}

export interface RemoveVertices {
  op: 'remove_vertices';
  fid: string;
  vertices: VertexName[];
}

/** A further ring or piece of line of a part, or a new part. */
export interface AddSegment {
  op: 'add_segment';
  fid: string;
  part: string | null;
  coordinates: Position[];
}

/** More of a line that is being recorded. */
export interface RecordTrack {
  op: 'record_track';
  fid: string;
  coordinates: Position[];
}

export interface RemoveSegment {
  op: 'remove_segment';
  fid: string;
  segment: string;
}

/** A wholly new geometry, whatever it has in common with the old one. */
export interface ReplaceGeometry {
  op: 'replace_geometry';
  fid: string;
  geometry: Geometry | null;
}

/** The smallest edits after which the feature has this geometry. */
export interface ChangeGeometry {
  op: 'change_geometry';
  fid: string;
  geometry: Geometry | null;
}

export interface SetProperties {
  op: 'set_properties';
  fid: string;
  values: Values;
}

export interface SetAttributes {
  op: 'set_attributes';
  fid: string;
  values: Values;
}

export interface Delete {
  op: 'delete';
  fids: string[];
}

export interface Restore {
  op: 'restore';
  fids: string[];
}

/** The first geometry stays with the feature; each other becomes a feature of its own. */
export interface Split {
  op: 'split';
  fid: string;
  geometries: Geometry[];
  fids: string[];
}

export interface Merge {
  op: 'merge';
  fid: string;
  others: string[];
  geometry: Geometry;
}

/** One spell of typing. Positions and lengths count UTF-16 units. */
export interface EditText {
  op: 'edit_text';
  fid: string;
  name: string;
  index: number;
  delete: number;
  insert: string;
}

/** A note; without feature, place and note answered it is chat. */
export interface AddNote {
  op: 'add_note';
  nid: string;
  body: string;
  fid: string | null;
  answers: string | null;
  at: Position | null;
}

export interface RemoveNote {
  op: 'remove_note';
  nid: string;
}

export interface AddFile {
  op: 'add_file';
  aid: string;
  fid: string;
  name: string;
  media_type: string;
  bytes: number;
  /** 64 hexadecimal digits. */
  sha256: string;
}

export interface RemoveFile {
  op: 'remove_file';
  aid: string;
}

export interface SetLayer {
  op: 'set_layer';
  lid: string;
  values: Values;
}

/** Sets a target again to what one session said; the other entries go. */
export interface Settle {
  op: 'settle';
  /** The feature; in `layer`, the layer. */
  fid: string;
  root: (typeof SETTLED_ROOTS)[number];
  target: string;
  sid: string;
}

export interface DismissOrphans {
  op: 'dismiss_orphans';
  fid: string;
}

export interface SetTitle {
  op: 'set_title';
  title: string;
}

export type Operation =
  | Create
  | MoveVertices
  | InsertVertex
  | RemoveVertices
  | AddSegment
  | RecordTrack
  | RemoveSegment
  | ReplaceGeometry
  | ChangeGeometry
  | SetProperties
  | SetAttributes
  | Delete
  | Restore
  | Split
  | Merge
  | EditText
  | AddNote
  | RemoveNote
  | AddFile
  | RemoveFile
  | SetLayer
  | Settle
  | DismissOrphans
  | SetTitle;
