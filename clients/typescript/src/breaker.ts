/** When to ask a service that has failed: closed, open, half-open. */
export class Breaker {
  #inARow = 0;
  #again = 0;

  /**
   * @param failures in a row that open it, >= 1
   * @param pauseMs until one call may try again, >= 0
   */
  constructor(readonly failures = 5, readonly pauseMs = 5_000) {
    if (!(failures >= 1 && pauseMs >= 0)) {
      throw new RangeError(
        `a breaker needs failures >= 1 and pauseMs >= 0, got ${failures} and ${pauseMs}`,
      );
    }
  }

  /** Whether to call; while open, one call a pause may try. */
  allows(now: number): boolean {
    if (this.#inARow < this.failures) return true;
    if (now < this.#again) return false;
    this.#again = now + this.pauseMs;
    return true;
  }

  /** A call was answered: closed again. */
  succeed(): void {
    this.#inARow = 0;
  }

  /** A call was not answered. */
  fail(now: number): void {
    this.#inARow += 1;
    if (this.#inARow >= this.failures) this.#again = now + this.pauseMs;
  }
}
