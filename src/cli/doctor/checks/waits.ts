import type { KubeObject } from '../../../core/kubernetes.ts';
import { formatDuration, parseDuration } from '../../../core/units.ts';
import { type ClusterFacts, type Finding, fail, type GatewayFacts, ok, skip, warn } from '../facts.ts';

/** nginx and most proxies end a request that has been silent for so long. */
const DEFAULT_PROXY_SECONDS = 60;
const READ_TIMEOUT = 'nginx.ingress.kubernetes.io/proxy-read-timeout';
const BUFFERING = 'nginx.ingress.kubernetes.io/proxy-buffering';
const CLOSING_SECONDS = 30;

/** Whether proxies in front, and the gateway's own end, let callers wait as long as Pilotlight holds them. */
export function checkWaits({ gateway, ingresses, routes }: ClusterFacts): readonly Finding[] {
  if (gateway === null) {
    return [skip('waits', 'no gateway of Pilotlight was found: name its namespace with --install-namespace')];
  }
  return [ownGrace(gateway), ...proxies(gateway, ingresses), ...gatewayRoutes(gateway, routes)];
}

function ownGrace({ workload, graceSeconds, preStopSeconds, maxHoldMs, drainMs }: GatewayFacts): Finding {
  if (maxHoldMs === null) return skip('waits', `the configuration of ${workload} could not be read`);
  const drainSeconds = Math.ceil((drainMs ?? maxHoldMs) / 1_000);
  const needed = preStopSeconds + drainSeconds + CLOSING_SECONDS;
  if (graceSeconds < preStopSeconds + drainSeconds) {
    const found = `${workload} is killed after ${graceSeconds} s, but drains for ${drainSeconds} s after a preStop of ${preStopSeconds} s`;
    return fail('waits', found, `terminationGracePeriodSeconds: ${needed}`);
  }
  if (graceSeconds * 1_000 < maxHoldMs) {
    const found = `${workload} ends within ${graceSeconds} s, but holds calls for up to ${formatDuration(maxHoldMs)} (timeouts.maxHold): a restart ends calls that wait for a GPU`;
    return warn('waits', found, 'config.timeouts.drain as long as timeouts.maxHold, and a grace above both');
  }
  return ok('waits', `${workload} has ${graceSeconds} s to end; calls are held for ${formatDuration(maxHoldMs)}`);
}

interface IngressSpec {
  readonly defaultBackend?: { readonly service?: { readonly name?: string } };
  readonly rules?: readonly {
    readonly http?: {
      readonly paths?: readonly { readonly backend?: { readonly service?: { readonly name?: string } } }[];
    };
  }[];
}

function proxies({ services, maxHoldMs }: GatewayFacts, ingresses: readonly KubeObject[] | null): readonly Finding[] {
  if (ingresses === null) return [skip('proxies', 'Ingresses could not be listed')];
  if (maxHoldMs === null) return [];
  return ingresses.filter((ingress) => leadsTo(ingress, services)).map((ingress) => ingressFinding(ingress, maxHoldMs));
}

function leadsTo({ spec }: KubeObject, services: readonly string[]): boolean {
  const { defaultBackend, rules = [] } = (spec ?? {}) as IngressSpec;
  const names = [
    defaultBackend?.service?.name,
    ...rules.flatMap(({ http }) => (http?.paths ?? []).map(({ backend }) => backend?.service?.name)),
  ];
  return names.some((name) => name !== undefined && services.includes(name));
}

function ingressFinding({ metadata }: KubeObject, maxHoldMs: number): Finding {
  const told = metadata.annotations?.[READ_TIMEOUT];
  const seconds = told !== undefined && /^\d+$/.test(told) ? Number(told) : DEFAULT_PROXY_SECONDS;
  const wanted = Math.ceil(maxHoldMs / 1_000) + CLOSING_SECONDS;
  const source = told === undefined ? 'nothing set: nginx takes 60 s' : `${READ_TIMEOUT}: ${told}`;
  if (seconds * 1_000 < maxHoldMs) {
    const found = `Ingress ${metadata.name} ends a call that is silent for ${seconds} s (${source}); calls without streaming are held for ${formatDuration(maxHoldMs)}`;
    return warn(
      'proxies',
      found,
      `annotate it: ${READ_TIMEOUT}: "${wanted}", ${BUFFERING}: "off"; for another controller its like`,
    );
  }
  return ok('proxies', `Ingress ${metadata.name} waits ${seconds} s for an answer`);
}

interface RouteSpec {
  readonly rules?: readonly {
    readonly timeouts?: { readonly request?: string; readonly backendRequest?: string };
    readonly backendRefs?: readonly { readonly name?: string }[];
  }[];
}

function gatewayRoutes(
  { services, maxHoldMs }: GatewayFacts,
  routes: readonly KubeObject[] | null,
): readonly Finding[] {
  if (routes === null || maxHoldMs === null) return [];
  return routes.flatMap(({ metadata, spec }) => {
    const rules = ((spec ?? {}) as RouteSpec).rules ?? [];
    const own = rules.filter(({ backendRefs = [] }) =>
      backendRefs.some(({ name }) => name !== undefined && services.includes(name)),
    );
    const told = own
      .flatMap(({ timeouts }) => [timeouts?.request, timeouts?.backendRequest])
      .flatMap((text) => (text === undefined ? [] : [text]));
    const short = told.find((text) => {
      const parsed = parseDuration(text);
      return parsed.ok && parsed.value > 0 && parsed.value < maxHoldMs;
    });
    if (own.length === 0) return [];
    if (short === undefined) {
      const found =
        told.length === 0 ? 'sets no time-out; that of its implementation holds' : `allows ${told.join(', ')}`;
      return [ok('proxies', `HTTPRoute ${metadata.name} ${found}`)];
    }
    const found = `HTTPRoute ${metadata.name} ends requests after ${short}; calls are held for ${formatDuration(maxHoldMs)}`;
    return [
      warn(
        'proxies',
        found,
        `timeouts.request and backendRequest: ${Math.ceil(maxHoldMs / 1_000) + CLOSING_SECONDS}s or "0s"`,
      ),
    ];
  });
}
