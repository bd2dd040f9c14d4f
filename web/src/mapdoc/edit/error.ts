// Why an operation is not carried out. Nothing was written then.

export const EDIT_ERROR_CODES = [
  'unknown_feature',
  'feature_exists',
  'unknown_segment',
  'unknown_vertex',
  'bad_position',
  'bad_geometry',
  'bad_name',
  'too_large',
  'newer_version',
  'not_a_map',
  'unknown_note',
  'unknown_entry',
] as const;
export type EditErrorCode = (typeof EDIT_ERROR_CODES)[number];

export class EditError extends Error {
  override readonly name = 'EditError';
  readonly code: EditErrorCode;

  /** `message` says what is wrong and what to do. */
  constructor(code: EditErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
