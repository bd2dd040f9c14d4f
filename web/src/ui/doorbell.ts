// Says who comes and goes: one quiet line that screen readers speak when they have nothing else to say.

import { Comings, newsText, type Someone } from '../presence/comings.ts';
import { h } from './dom.ts';

/** The line stays long enough to be read twice. */
const SHOWN_MS = 8_000;

export class Doorbell {
  readonly element = h('p', { class: 'news', role: 'status' });
  readonly #comings = new Comings();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #hideTimer: ReturnType<typeof setTimeout> | null = null;

  connected(isLive: boolean): void {
    if (isLive) this.#comings.resume(Date.now());
    else this.#comings.pause();
    this.#arm();
  }

  see(others: readonly Someone[]): void {
    this.#comings.see(Date.now(), others);
    this.#arm();
  }

  dispose(): void {
    for (const timer of [this.#timer, this.#hideTimer]) if (timer !== null) clearTimeout(timer);
  }

  #arm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const next = this.#comings.nextMs();
    // Whether all that happened is told, or was no news.
    this.element.dataset.told = `${next === null}`;
    if (next !== null) this.#timer = setTimeout(() => this.#ring(), Math.max(0, next - Date.now()));
  }

  #ring(): void {
    this.#timer = null;
    const news = this.#comings.news(Date.now());
    if (news) this.#show(newsText(news));
    this.#arm();
  }

  /** Empty and not hidden between two lines: a live region has to be there before it changes. */
  #show(text: string): void {
    this.element.textContent = text;
    if (this.#hideTimer !== null) clearTimeout(this.#hideTimer);
    this.#hideTimer = setTimeout(() => this.element.replaceChildren(), SHOWN_MS);
  }
}
