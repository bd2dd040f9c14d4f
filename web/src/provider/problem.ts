// What a server answers that does not do what it was asked (RFC 9457), and whether asking again can help.

export interface Problem {
  status: number;
  /** `unknown-map`, or empty where the answer is not one of Mapweave's. */
  name: string;
  /** In words, for people. */
  reason: string;
}

/** An answer that is an error. */
export class HttpError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.reason);
    this.name = 'HttpError';
    this.problem = problem;
  }
}

const PREFIX = 'urn:mapweave:problem:';
/** An error page of something on the way may be of any length. */
const BODY_LENGTH_MAX = 64 << 10;

export async function readProblem(response: Response): Promise<Problem> {
  const status = response.status;
  const other = { status, name: '', reason: `the server answers ${status} ${response.statusText}`.trim() };
  if (Number(response.headers.get('content-length') ?? 0) > BODY_LENGTH_MAX) return other;
  try {
    const body: unknown = await response.json();
    if (typeof body !== 'object' || body === null) return other;
    const { type, title, detail } = body as Record<string, unknown>;
    if (typeof type !== 'string' || !type.startsWith(PREFIX) || typeof title !== 'string') return other;
    return {
      status,
      name: type.slice(PREFIX.length),
      reason: typeof detail === 'string' && detail !== '' ? `${title}: ${detail}` : title,
    };
  } catch {
    return other;
  }
}

/** Throws unless the answer is a success. */
export async function checked(response: Response): Promise<Response> {
  if (response.ok) return response;
  throw new HttpError(await readProblem(response));
}

/** Whether coming back as one is is of no use: the name is none, the token does not do, the map was deleted. */
export function isFinal({ status, name }: Problem): boolean {
  // Anything on the way may answer 403 or 404; only the server's own word ends it.
  return name !== '' && (status === 400 || status === 403 || status === 404 || status === 410);
}

/** The close code that a socket would have been ended with. */
export function closeCodeOf({ status }: Problem): number {
  return status === 410 ? 4404 : 4000 + status;
}

/** What went wrong, in words. */
export function reasonOf(error: unknown): string {
  if (error instanceof HttpError) return error.problem.reason;
  if (error instanceof DOMException && error.name === 'TimeoutError') return 'nothing came for too long';
  return 'the server cannot be reached';
}
