// The map document, read and written. `MapView` reads, `Writer` writes, `report` lists what needs a person's eye.

export {
  type Authorship,
  blameProperties,
  blameVertices,
  type PropertyBlame,
  type Version,
  type VertexBlame,
  versionsOf,
} from './blame.ts';
export type { ChangeKind, FeatureChange, MapChange } from './changes.ts';
export { carryOut, type Edit, type EditContext, type EditResult, type Plan } from './edit/draft.ts';
export { EDIT_ERROR_CODES, EditError, type EditErrorCode } from './edit/error.ts';
export type { Operation, Values, VertexName } from './edit/operation.ts';
export { plan } from './edit/run.ts';
export type { GeometryProblem, NamedSegment, Structure } from './geometry.ts';
export { segmentName, vertexKey } from './geometry.ts';
export type { Layer } from './layers.ts';
export type { Attachment, Note } from './notes.ts';
export { implicitKey, keyBetween, keyBeyond, type Random } from './orderkey.ts';
export { pack, type Unpacked, unpack } from './pack.ts';
export type { Properties } from './properties.ts';
export { describeProblem, featureProblems, type Problem, report } from './report.ts';
export type { Geometry, Position, Shape } from './shape.ts';
export type { RootMap, RootName, SharedText, Store, TransactionInfo } from './store.ts';
export { mapUndo, type Undo } from './undo.ts';
export type { Json } from './values.ts';
export { type ChangeListener, type Feature, type FeatureState, FORMAT, MapView, VERSION } from './view.ts';
export { randomId, Writer, type WriterIdentity, type Written, type WrittenListener } from './writer.ts';
export { storeOf } from './yjs.ts';
