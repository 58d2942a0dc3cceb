/** One event of the answer of a streamed job. */
export interface JobEvent {
  /** "response.output_text.delta" */
  readonly type: string;
  /** A JSON object in one line, without a number of its own: its place in the log is its number. */
  readonly data: string;
}

export type JobEventsAnswer =
  | {
      readonly kind: 'page';
      /** Of `events[0]`; one behind the newest when there is none. */
      readonly index: number;
      readonly events: readonly JobEvent[];
    }
  /** That place belongs to an execution that broke off, or is no longer kept. `next` is one behind the newest. */
  | { readonly kind: 'gone'; readonly next: number }
  /** Nothing has come yet, or nothing is kept any more. */
  | { readonly kind: 'none' };

/**
 * The events of streamed jobs while they run and for some minutes afterwards, readable from every process. A view for people
 * who look on: what came out of a job is its result. Numbers rise over all executions of a job, so that a place in one that
 * broke off is never taken for one in the next.
 */
export interface JobEvents {
  /**
   * Events from place `from` on, without a gap, at most `limit`; null = from the start of the present execution. Rejects
   * when Redis does not answer.
   */
  read(id: string, from: number | null, limit: number): Promise<JobEventsAnswer>;
  /** Calls back when something may have come; news can be lost. Returns the way to stop. */
  onNews(id: string, listener: () => void): () => void;
}
