/** Listeners of Redis channels; messages sent while Redis is away are lost. */
export interface Channels {
  listen(channel: string, listener: (message: string) => void): () => void;
}
