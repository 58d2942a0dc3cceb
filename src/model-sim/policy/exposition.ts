/**
 * A small Prometheus text writer. prom-client would do, but a pool starts several simulators at once and loading it
 * costs each of them more than the rest of the simulator; and a step brings many equal observations, which `observe`
 * takes together.
 */
export type Labels = Readonly<Record<string, string>>;

/** One metric as it is now: its text, ending in a newline. */
export interface Metric {
  readonly name: string;
  render(): string;
}

export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

/** A gauge or counter whose samples are read when somebody asks. */
export function sampled(
  type: 'gauge' | 'counter',
  name: string,
  help: string,
  samples: () => readonly Sample[],
): Metric {
  return {
    name,
    render: () =>
      samples().reduce((text, { labels, value }) => `${text}${line(name, labels, value)}`, header(name, type, help)),
  };
}

/** Counts observations into cumulative buckets. */
export class Histogram implements Metric {
  readonly name: string;
  readonly #help: string;
  readonly #labels: Labels;
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  /** `bounds` are the upper ends of the buckets, rising; +Inf is added. */
  constructor(name: string, help: string, labels: Labels, bounds: readonly number[]) {
    this.name = name;
    this.#help = help;
    this.#labels = labels;
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number, times = 1): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] ?? Infinity)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + times;
    this.#sum += value * times;
  }

  render(): string {
    let text = header(this.name, 'histogram', this.#help);
    let cumulative = 0;
    this.#counts.forEach((count, bucket) => {
      cumulative += count;
      const bound = this.#bounds[bucket];
      const le = bound === undefined ? '+Inf' : number(bound);
      text += line(`${this.name}_bucket`, { ...this.#labels, le }, cumulative);
    });
    return `${text}${line(`${this.name}_count`, this.#labels, cumulative)}${line(`${this.name}_sum`, this.#labels, this.#sum)}`;
  }
}

function header(name: string, type: string, help: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
}

/** Labels in alphabetical order, as Python's client writes them. */
function line(name: string, labels: Labels, value: number): string {
  const pairs = Object.keys(labels)
    .sort()
    .map((label) => `${label}="${escapeLabel(labels[label] ?? '')}"`);
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${number(value)}\n`;
}

/** Whole numbers with ".0", as Python writes floats. */
function number(value: number): string {
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
