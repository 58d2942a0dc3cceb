/** Batches that are being made in this process: the index does not know them yet, and a quota must. */
export class Creations {
  readonly #idsOf = new Map<string, Set<string>>();

  /** Makes one; `ahead` are those of the tenant that were begun before it and are being made still. */
  async during<Made>(tenant: string, id: string, make: (ahead: readonly string[]) => Promise<Made>): Promise<Made> {
    const ids = this.#idsOf.get(tenant) ?? new Set();
    const ahead = [...ids].filter((other) => other !== id);
    this.#idsOf.set(tenant, ids.add(id));
    try {
      return await make(ahead);
    } finally {
      ids.delete(id);
      if (ids.size === 0) this.#idsOf.delete(tenant);
    }
  }
}
