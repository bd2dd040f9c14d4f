import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { crc32c } from './crc32c.ts';
import { readFile, type UnsentEdits, writeFile } from './file.ts';

/** As `proto/src/unsent.rs` has it. */
const EXAMPLE: UnsentEdits = {
  map: 'fields/north 1',
  origin: 'https://maps.example.org',
  who: 'Änne',
  writtenAt: 1_795_000_000_000,
  edits: [
    { at: 1_794_999_999_000, update: new Uint8Array([0, 0]) },
    {
      at: 1_794_999_999_500,
      update: new Uint8Array([1, 1, 7, 0, 0x28, 1, 3, 0x6d, 0x61, 0x70, 1, 0x6b, 1, 126, 0]),
    },
  ],
};
const FIXTURE = new URL('../../../tests/fixtures/wire/unsent-edits.bin', import.meta.url);

test('the example of both languages is written and read alike', () => {
  const bytes = new Uint8Array(readFileSync(FIXTURE));
  expect(writeFile(EXAMPLE)).toEqual(bytes);
  expect(readFile(bytes)).toEqual({ ok: true, file: EXAMPLE });
});

test('the checksum is the one of RFC 3720', () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283);
});

test('any changed or missing byte is noticed', () => {
  const bytes = writeFile(EXAMPLE);
  for (let at = 0; at < bytes.length; at++) {
    const changed = bytes.slice();
    changed[at] = (changed[at] as number) ^ 0x40;
    expect(readFile(changed).ok, `byte ${at}`).toBe(false);
    expect(readFile(bytes.subarray(0, at)).ok, `${at} bytes`).toBe(false);
  }
});

test('a file of another kind, or of a later version, is told from a damaged one', () => {
  expect(readFile(new TextEncoder().encode('{}'))).toMatchObject({
    reason: expect.stringContaining('no file of unsent'),
  });
  const later = writeFile(EXAMPLE);
  later[7] = 2;
  expect(readFile(later)).toMatchObject({ reason: expect.stringContaining('version 2') });
});
