/** Lets one idle Worker sleep until there may be work for it. */
export class Wake {
  #wakeSleeper: (() => void) | null = null;
  #wasFired = false;

  /** There may be work. Remembered when nobody sleeps, so that no work is slept over. */
  fire(): void {
    this.#wasFired = true;
    this.#wakeSleeper?.();
  }

  /** Resolves at the next `fire` (or at once after one that nobody saw), at the latest after `timeoutMs`. */
  async sleep(timeoutMs: number): Promise<void> {
    if (!this.#wasFired) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#wakeSleeper = resolve;
        timer = setTimeout(resolve, timeoutMs);
      });
      clearTimeout(timer);
      this.#wakeSleeper = null;
    }
    this.#wasFired = false;
  }
}
