// The npm package `@mapweave/provider`.

export { Backoff } from './backoff.ts';
export type { Counts, EditState, PendingEdit } from './editLog.ts';
export { FILE_BYTES_MAX, FILE_ENDING, MEDIA_TYPE, readFile, type UnsentEdits, writeFile } from './file.ts';
export type { DeviceState } from './persistence.ts';
export type { Platform } from './platform.ts';
export type { ProviderState } from './policy.ts';
export {
  type ImportResult,
  MADE_ANEW,
  MapweaveProvider,
  type ProviderEvents,
  type ProviderOptions,
} from './provider.ts';
