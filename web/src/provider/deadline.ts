// An abort signal that also comes when nothing has happened for too long. (`AbortSignal.any` is not on every phone yet.)

export class Deadline {
  readonly #controller = new AbortController();
  readonly #of: AbortSignal;
  readonly #ms: number;
  readonly #abort = () => this.#controller.abort(this.#of.reason);
  #timer: ReturnType<typeof setTimeout> | null = null;

  /** Aborts with `of`, or after `ms` without a `reset`. Call `end` when it is of no use any more. */
  constructor(of: AbortSignal, ms: number) {
    this.#of = of;
    this.#ms = ms;
    if (of.aborted) this.#abort();
    of.addEventListener('abort', this.#abort);
    this.reset();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  reset(): void {
    this.#clear();
    const why = new DOMException('nothing came for too long', 'TimeoutError');
    this.#timer = setTimeout(() => this.#controller.abort(why), this.#ms);
  }

  end(): void {
    this.#clear();
    this.#of.removeEventListener('abort', this.#abort);
  }

  #clear(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}
