import { type Parsed, parseBytes, parseDuration } from '../core/units.ts';
import {
  adapterList,
  anyText,
  faultsJson,
  nameList,
  nonEmpty,
  notNegative,
  oneOf,
  onOff,
  positive,
  ratio,
  whole,
} from './flag-values.ts';

/** One flag of `pilotlight model-sim`: how it is written, what it means, and what it becomes. */
export interface Flag<T> {
  /** As commander takes it: "--boot-load <duration>". */
  readonly flag: string;
  readonly help: string;
  /** As one would write it. */
  readonly fallback: string;
  readonly parse: (text: string) => Parsed<T>;
}

/**
 * Every option, by the name that the program uses. The engine's defaults are a roofline of an 8-billion-parameter model
 * in 16 bits on one 80 GB GPU with 2 TB/s and 312 Tflop/s (A100): reading 16 GB of weights takes 8 ms, with launch
 * overhead 10 ms a step; 1,000 tokens of KV at 128 KiB each take 0.07 ms more a sequence, with sampling 0.1 ms; 16 Gflop
 * a prompt token at half of the peak make 10,000 tokens/s; 50 GB left for KV are 25,000 blocks of 16 tokens.
 */
export const MODEL_SIM_FLAGS = {
  host: flag('--host <address>', '127.0.0.1', 'address to listen on', nonEmpty),
  port: flag(
    '--port <number>',
    '8000',
    'port to listen on; 0 = any free one, printed when the server is ready',
    whole(0, 65_535),
  ),
  models: flag(
    '--model <names>',
    'sim',
    'comma list of names the model answers to; the first is the one in metrics',
    nameList,
  ),
  adapters: flag(
    '--lora-modules <list>',
    '',
    'adapters known from the start: name=path, separated by commas',
    adapterList,
  ),
  maxAdapters: flag(
    '--max-loras <number>',
    '0',
    'distinct adapters in one batch; 0 = adapters are off',
    whole(0, 1_000),
  ),
  maxModelTokens: flag('--max-model-len <tokens>', '32768', 'longest prompt plus answer', whole(2, 10_000_000)),
  embeddingDimensions: flag('--embedding-dimensions <number>', '64', 'length of an embedding', whole(1, 8_192)),

  bootStartMs: flag(
    '--boot-start <duration>',
    '0s',
    'time before the server process exists (image pull, container start)',
    parseDuration,
  ),
  bootLoadMs: flag('--boot-load <duration>', '0s', 'time it then loads the model', parseDuration),
  loadingAnswers: flag(
    '--loading-answers <refuse|503>',
    'refuse',
    'while loading: refuse connections, as vLLM does, or answer 503 to everything',
    oneOf('refuse', '503'),
  ),
  shutdownTimeoutMs: flag(
    '--shutdown-timeout <duration>',
    '0s',
    'on SIGTERM, how long open calls may go on; 0s cuts them with finish_reason "abort", as vLLM does',
    parseDuration,
  ),
  speed: flag(
    '--speed <factor>',
    '1',
    'everything simulated (boot, prefill, decode) goes so many times as fast',
    positive,
  ),

  prefillTokensPerSecond: flag(
    '--prefill-tokens-per-second <number>',
    '10000',
    'prompt tokens a second; 0 = prompts take no time',
    notNegative,
  ),
  decodeBaseMs: flag('--decode-base-ms <number>', '10', 'time of a step, whatever its size', notNegative),
  decodePerSequenceMs: flag(
    '--decode-per-sequence-ms <number>',
    '0.1',
    'more time of a step for each sequence that decodes',
    notNegative,
  ),
  maxSequences: flag('--max-num-seqs <number>', '256', 'sequences in one batch', whole(1, 100_000)),
  maxBatchedTokens: flag(
    '--max-num-batched-tokens <number>',
    '2048',
    'tokens computed in one step; longer prompts go in chunks',
    whole(1, 10_000_000),
  ),
  maxQueuedRequests: flag(
    '--max-num-queued-reqs <number>',
    '10000',
    'requests waiting and running together; one more gets 503 (vLLM has no limit unless told)',
    whole(1, 1_000_000),
  ),
  blockSizeTokens: flag('--block-size <tokens>', '16', 'tokens in one KV block', whole(1, 65_536)),
  blocks: flag('--num-gpu-blocks <number>', '25000', 'KV blocks', whole(1, 100_000_000)),
  prefixCaching: flag('--prefix-caching <on|off>', 'on', 'reuse the KV blocks of equal prompt beginnings', onOff),
  medianOutputTokens: flag(
    '--output-tokens-median <number>',
    '129',
    'median length of an answer that ends by itself (129: Azure conversation trace)',
    positive,
  ),

  maxBodyBytes: flag('--max-body <size>', '32Mi', 'largest request body; a larger one gets 413', parseBytes),
  maxReadingBytes: flag(
    '--max-body-total <size>',
    '256Mi',
    'all bodies being read together; beyond it calls get 503',
    parseBytes,
  ),

  journal: flag(
    '--journal <path>',
    '',
    'append a JSON line for each call that begins, speaks and ends to this file, which processes may share',
    anyText,
  ),
  faults: flag('--faults <json>', '{}', 'faults from the start, as POST /sim/faults takes them', faultsJson),
  crashAtBoot: flag(
    '--crash-at-boot <exit code>',
    '0',
    'end with this code half-way through loading; 0 = never',
    whole(0, 255),
  ),
  crashAtBootRatio: flag('--crash-at-boot-ratio <0..1>', '1', 'the part of all boots that crash', ratio),
  crashFirstBoots: flag(
    '--crash-first-boots <number>',
    '0',
    'only so many first boots crash, see --crash-marks; 0 = all',
    whole(0, 1_000),
  ),
  crashMarks: flag('--crash-marks <path>', '', 'each of those boots leaves a file: path.1, path.2, …', anyText),
} as const;

type Flags = typeof MODEL_SIM_FLAGS;
export type ModelSimOptionName = keyof Flags;
export type ModelSimOptions = { readonly [Name in ModelSimOptionName]: Flags[Name] extends Flag<infer T> ? T : never };

export type ParsedOptions = { ok: true; value: ModelSimOptions } | { ok: false; problems: string[] };

/**
 * The options from texts, with defaults for what is absent. `texts` is keyed as commander does it: "bootLoad" for
 * --boot-load. All problems are listed, each naming its flag.
 */
export function parseModelSimOptions(texts: Readonly<Record<string, unknown>> = {}): ParsedOptions {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, { flag: spelled, fallback, parse }] of Object.entries(MODEL_SIM_FLAGS)) {
    const given = texts[flagKey(spelled)];
    const parsed: Parsed<unknown> = parse(typeof given === 'string' ? given : fallback);
    if (parsed.ok) values[name] = parsed.value;
    else problems.push(`${spelled.split(' ')[0] ?? spelled}: ${parsed.problem}`);
  }
  if (problems.length > 0) return { ok: false, problems };
  const options = values as unknown as ModelSimOptions; // every name of the table was set above
  const conflicts = crossFieldProblems(options);
  return conflicts.length > 0 ? { ok: false, problems: conflicts } : { ok: true, value: options };
}

/** The defaults with some options set directly; for programs and tests. Throws a TypeError that lists what conflicts. */
export function modelSimOptions(changes: Partial<ModelSimOptions> = {}): ModelSimOptions {
  const parsed = parseModelSimOptions();
  if (!parsed.ok) throw new TypeError(parsed.problems.join('; '));
  const options = { ...parsed.value, ...changes };
  const conflicts = crossFieldProblems(options);
  if (conflicts.length > 0) throw new TypeError(conflicts.join('; '));
  return options;
}

/** "--boot-load <duration>" → "bootLoad", as commander names it. */
export function flagKey(spelled: string): string {
  const name = spelled.split(' ')[0]?.slice(2) ?? '';
  return name.replaceAll(/-(\w)/g, (_dash, letter: string) => letter.toUpperCase());
}

function crossFieldProblems(options: ModelSimOptions): string[] {
  const problems: string[] = [];
  const kvTokens = options.blocks * options.blockSizeTokens;
  if (options.maxModelTokens > kvTokens) {
    problems.push(
      `--max-model-len ${options.maxModelTokens} does not fit --num-gpu-blocks × --block-size = ${kvTokens} tokens`,
    );
  }
  if (options.adapters.length > 0 && options.maxAdapters === 0)
    problems.push('--lora-modules needs --max-loras 1 or more');
  if (options.crashFirstBoots > 0 && options.crashMarks === '')
    problems.push('--crash-first-boots needs --crash-marks');
  return problems;
}

function flag<T>(spelled: string, fallback: string, help: string, parse: (text: string) => Parsed<T>): Flag<T> {
  return { flag: spelled, fallback, help, parse };
}
