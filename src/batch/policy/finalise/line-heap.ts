interface Node<Item> {
  line: number;
  readonly item: Item;
}

/** Items by line, the lowest first (binary heap): what merges many sorted lists. */
export class LineHeap<Item> {
  readonly #nodes: Node<Item>[] = [];

  get first(): Item | undefined {
    return this.#nodes[0]?.item;
  }

  add(line: number, item: Item): void {
    let at = this.#nodes.push({ line, item }) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#lineAt(parent) <= this.#lineAt(at)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  /** The first item goes on with this line; null = it has no more. */
  moveFirst(line: number | null): void {
    const [first] = this.#nodes;
    if (!first) return;
    if (line !== null) {
      first.line = line;
    } else {
      this.#swap(0, this.#nodes.length - 1);
      this.#nodes.pop();
    }
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const least = this.#lineAt(left + 1) < this.#lineAt(left) ? left + 1 : left;
      if (this.#lineAt(at) <= this.#lineAt(least)) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #lineAt(at: number): number {
    return this.#nodes[at]?.line ?? Number.POSITIVE_INFINITY;
  }

  #swap(a: number, b: number): void {
    const [nodeA, nodeB] = [this.#nodes[a], this.#nodes[b]];
    if (!nodeA || !nodeB) return;
    this.#nodes[a] = nodeB;
    this.#nodes[b] = nodeA;
  }
}
