import type { Random } from '../../core/random.ts';
import { availabilityFilter } from './filters/availability.ts';
import { maxScorePicker, type PickerPlugin, randomPicker, weightedRandomPicker } from './pickers.ts';
import type { EndpointView, FilterPlugin, PickRequest, ScorerPlugin } from './plugin.ts';
import { activeRequestScorer } from './scorers/active-request.ts';
import { kvCacheUtilizationScorer } from './scorers/kv-cache-utilization.ts';
import { loraAffinityScorer } from './scorers/lora-affinity.ts';
import { prefixCacheScorer } from './scorers/prefix-cache.ts';
import { queueScorer } from './scorers/queue-depth.ts';
import { runningRequestsScorer } from './scorers/running-requests.ts';

const PLUGINS: readonly (FilterPlugin | ScorerPlugin | PickerPlugin)[] = [
  availabilityFilter,
  queueScorer,
  runningRequestsScorer,
  kvCacheUtilizationScorer,
  prefixCacheScorer,
  loraAffinityScorer,
  activeRequestScorer,
  maxScorePicker,
  randomPicker,
  weightedRandomPicker,
];

/** Every plugin type that a profile may name. */
export const PLUGIN_TYPES: readonly string[] = PLUGINS.map(({ type }) => type);

/** One plugin of a profile, under the type names of EndpointPickerConfig. */
export interface PluginOption {
  readonly type: string;
  /** Scorers only; weights are not normalised. Default 1. */
  readonly weight?: number;
}

/**
 * Weights of queue, KV and prefix: the default profile of the llm-d router. In-flight load is ours, exact where the
 * queue is a second old; it weighs the same, so that a burst of one prefix spreads before the engine's queue shows it.
 */
export const DEFAULT_PROFILE: readonly PluginOption[] = [
  { type: 'availability-filter' },
  { type: 'queue-scorer', weight: 2 },
  { type: 'kv-cache-utilization-scorer', weight: 2 },
  { type: 'prefix-cache-scorer', weight: 3 },
  { type: 'lora-affinity-scorer', weight: 2 },
  { type: 'active-request-scorer', weight: 2 },
  { type: 'max-score-picker' },
];

export interface Profile {
  readonly filters: readonly FilterPlugin[];
  readonly scorers: readonly { readonly plugin: ScorerPlugin; readonly weight: number }[];
  readonly picker: PickerPlugin;
  /** The prefix index is kept only for a profile that asks it. */
  readonly usesPrefix: boolean;
}

export type CompiledProfile =
  | { readonly ok: true; readonly profile: Profile }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Looks the plugins up; all problems at once. The availability filter is always part of a profile. */
export function compileProfile(options: readonly PluginOption[]): CompiledProfile {
  const problems: string[] = [];
  const filters: FilterPlugin[] = [availabilityFilter];
  const scorers: { plugin: ScorerPlugin; weight: number }[] = [];
  const pickers: PickerPlugin[] = [];
  for (const { type, weight = 1 } of options) {
    const plugin = PLUGINS.find((known) => known.type === type);
    if (!plugin) problems.push(`unknown plugin type "${type}"; known: ${PLUGIN_TYPES.join(', ')}`);
    else if (!Number.isFinite(weight) || weight < 0) problems.push(`the weight of "${type}" must be a number >= 0`);
    else if (plugin.kind === 'scorer') scorers.push({ plugin, weight });
    else if (plugin.kind === 'picker') pickers.push(plugin);
    else if (plugin !== availabilityFilter) filters.push(plugin);
  }
  for (const type of new Set(options.map((option) => option.type))) {
    if (options.filter((option) => option.type === type).length > 1) problems.push(`"${type}" is listed twice`);
  }
  if (pickers.length > 1) problems.push('a profile has one picker');
  if (problems.length > 0) return { ok: false, problems };
  const usesPrefix = scorers.some(({ plugin, weight }) => plugin === prefixCacheScorer && weight > 0);
  return { ok: true, profile: { filters, scorers, picker: pickers[0] ?? maxScorePicker, usesPrefix } };
}

/** One endpoint's way through the profile, for people. */
export interface Explanation {
  readonly endpointId: string;
  /** Filter that took it out and why; null = it was rated. */
  readonly rejectedBy: string | null;
  readonly scores: readonly { readonly type: string; readonly score: number; readonly weight: number }[];
  readonly total: number;
}

/** Weighted sum per endpoint. Scores are clamped to [0, 1]; a score that is not a number counts as 0. O(n · scorers). */
function totals(profile: Profile, request: PickRequest, endpoints: readonly EndpointView[]): number[] {
  const sums = endpoints.map(() => 0);
  for (const { plugin, weight } of profile.scorers) {
    if (weight === 0) continue;
    const scores = plugin.score(request, endpoints);
    for (let index = 0; index < sums.length; index += 1) {
      sums[index] = (sums[index] ?? 0) + weight * clamped(scores[index]);
    }
  }
  return sums;
}

/** Indices of the endpoints that pass the filters, best first. */
export function rankEndpoints(
  profile: Profile,
  request: PickRequest,
  endpoints: readonly EndpointView[],
  random: Random,
): readonly number[] {
  const kept: number[] = [];
  for (const [index, endpoint] of endpoints.entries()) {
    if (profile.filters.every((filter) => filter.reject(request, endpoint) === null)) kept.push(index);
  }
  if (kept.length < 2) return kept;
  const sums = totals(profile, narrowed(request, kept), pickAt(endpoints, kept));
  return pickAt(kept, profile.picker.order(sums, random));
}

/** The scores behind a ranking, plugin by plugin, for every endpoint. */
export function explainRanking(
  profile: Profile,
  request: PickRequest,
  endpoints: readonly EndpointView[],
): readonly Explanation[] {
  const rejections = endpoints.map((endpoint) => rejectionOf(profile, request, endpoint));
  const kept = rejections.flatMap((rejection, index) => (rejection === null ? [index] : []));
  const [keptRequest, keptEndpoints] = [narrowed(request, kept), pickAt(endpoints, kept)];
  const byScorer = profile.scorers.map(({ plugin }) => plugin.score(keptRequest, keptEndpoints));
  return endpoints.map((endpoint, index) => {
    const place = kept.indexOf(index);
    const scores = profile.scorers.map(({ plugin, weight }, scorer) => ({
      type: plugin.type,
      score: place < 0 ? 0 : clamped(byScorer[scorer]?.[place]),
      weight,
    }));
    const total = scores.reduce((sum, { score, weight }) => sum + score * weight, 0);
    return { endpointId: endpoint.id, rejectedBy: rejections[index] ?? null, scores: place < 0 ? [] : scores, total };
  });
}

function rejectionOf(profile: Profile, request: PickRequest, endpoint: EndpointView): string | null {
  for (const filter of profile.filters) {
    const why = filter.reject(request, endpoint);
    if (why !== null) return `${filter.type}: ${why}`;
  }
  return null;
}

function narrowed(request: PickRequest, kept: readonly number[]): PickRequest {
  return { ...request, matchedBlocks: kept.map((index) => request.matchedBlocks[index] ?? 0) };
}

function pickAt<T>(items: readonly T[], indices: readonly number[]): T[] {
  return indices.flatMap((index) => {
    const item = items[index];
    return item === undefined ? [] : [item];
  });
}

function clamped(score: number | undefined): number {
  if (score === undefined || Number.isNaN(score)) return 0;
  return Math.min(1, Math.max(0, score));
}
