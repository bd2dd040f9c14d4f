import { expect, test } from 'vitest';
import { type Progress, StateDownload } from './download.ts';
import { HttpError } from './problem.ts';

const BYTES = Uint8Array.from({ length: 1_000 }, (_, i) => i % 251);
const signal = new AbortController().signal;

/** A server with these bytes that breaks each answer after so many of them. */
class Breaking {
  bytes = BYTES;
  tag = '"a"';
  asked: (string | null)[] = [];
  sent = 0;
  breakAfter = 300;

  readonly request = async (headers: Record<string, string>): Promise<Response> => {
    const ifRange = headers['if-range'] ?? null;
    this.asked.push(headers.range ?? null);
    const start = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1]);
    if (ifRange !== null && ifRange !== this.tag)
      return this.#answer(200, 0, { 'content-length': `${this.bytes.length}` });
    if (start >= this.bytes.length) return new Response(null, { status: 416 });
    const range = `bytes ${start}-${this.bytes.length - 1}/${this.bytes.length}`;
    return this.#answer(206, start, { 'content-range': range });
  };

  #answer(status: number, start: number, headers: Record<string, string>): Response {
    const end = Math.min(this.bytes.length, start + this.breakAfter);
    const part = this.bytes.slice(start, end);
    this.sent += part.length;
    const isWhole = end === this.bytes.length;
    let isGiven = false;
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull(controller) {
        if (!isGiven) controller.enqueue(part);
        else if (isWhole) controller.close();
        else controller.error(new TypeError('the link broke'));
        isGiven = true;
      },
    });
    return new Response(body, { status, headers: { etag: this.tag, 'mapweave-epoch': '3.a7', ...headers } });
  }
}

test('a download over a link that breaks fetches every byte once', async () => {
  const server = new Breaking();
  const told: Progress[] = [];
  const download = new StateDownload(server.request, (progress) => told.push(progress));
  for (const received of [300, 600, 900]) {
    await expect(download.attempt(signal)).rejects.toThrow();
    expect(download.receivedBytes).toBe(received);
  }
  expect(await download.attempt(signal)).toEqual({ update: BYTES, epoch: '3.a7' });
  expect(server.asked).toEqual(['bytes=0-', 'bytes=300-', 'bytes=600-', 'bytes=900-']);
  expect(server.sent).toBe(BYTES.length);
  expect(told.at(-1)).toEqual({ receivedBytes: 1_000, totalBytes: 1_000 });
});

test('where the bytes are gone the download begins anew, and nothing of the old ones is in it', async () => {
  const server = new Breaking();
  const download = new StateDownload(server.request);
  await expect(download.attempt(signal)).rejects.toThrow();
  server.bytes = BYTES.map((byte) => 255 - byte);
  server.tag = '"b"';
  server.breakAfter = 5_000;
  expect((await download.attempt(signal)).update).toEqual(server.bytes);
});

test('an answer that breaks off behind its last byte is whole', async () => {
  const server = new Breaking();
  const download = new StateDownload(async (headers) => {
    const answer = await server.request(headers);
    const reader = answer.body?.getReader();
    let isRead = false;
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const next = isRead ? null : await reader?.read();
        isRead = true;
        if (next?.value) controller.enqueue(next.value);
        else controller.error(new TypeError('the link broke'));
      },
    });
    return new Response(body as ReadableStream<Uint8Array<ArrayBuffer>>, {
      status: answer.status,
      headers: answer.headers,
    });
  });
  server.breakAfter = 5_000;
  await expect(download.attempt(signal)).rejects.toThrow();
  expect((await download.attempt(signal)).update).toEqual(BYTES);
  expect(server.sent).toBe(BYTES.length);
});

test('a server that says no is heard, with its reason', async () => {
  const problem = {
    type: 'urn:mapweave:problem:deleted-map',
    title: 'This map was deleted',
    status: 410,
    detail: 'on Monday',
  };
  const download = new StateDownload(async () => Response.json(problem, { status: 410 }));
  const error = await download.attempt(signal).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(HttpError);
  expect((error as HttpError).problem).toEqual({
    status: 410,
    name: 'deleted-map',
    reason: 'This map was deleted: on Monday',
  });
});
