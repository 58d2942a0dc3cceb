import { z } from 'zod';
import type { Config } from './config.ts';
import { type Documents, readDocuments } from './documents.ts';
import { type Environment, environmentLayer } from './environment.ts';
import { type FlagSetting, flagLayer } from './flags.ts';
import { anonymousIdentity, checkCallers, readTenants } from './identities.ts';
import { writtenFormOf } from './json-schema.ts';
import { type Layer, layerOf, mergeLayers, sourceOf, treeOf } from './layers.ts';
import { formatPath, hasErrors, type Problem } from './problem.ts';
import { checkQueues } from './queue-settings.ts';
import {
  API_VERSION,
  CONFIGURATION_KIND,
  configurationSchema,
  type ParsedSettings,
  SETTINGS,
} from './schema/configuration.ts';
import { explainIssues, unknownKey } from './schema-problems.ts';
import { checkTokens, serviceAccountSettings } from './token-settings.ts';
import type { YamlDocument } from './yaml-documents.ts';

export interface ConfigInputs {
  /** Files and folders; later files win over earlier ones, setting by setting. */
  readonly files: readonly string[];
  readonly environment: Environment;
  readonly flags: readonly FlagSetting[];
}

export type LoadedConfig =
  /** `written`: what was set where; everything else is default. `problems` holds warnings only. */
  | { readonly ok: true; readonly config: Config; readonly written: Layer; readonly problems: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Settings from files < environment < flags. Reads the files anew; all problems are listed at once. */
export function loadConfig(inputs: ConfigInputs): LoadedConfig {
  const documents = readDocuments(inputs.files);
  const loaded = configOf(documents, inputs);
  const problems = [...documents.problems, ...loaded.problems];
  return loaded.ok && !hasErrors(problems) ? { ...loaded, problems } : { ok: false, problems };
}

/** The same, from files that were read already; their own problems are not repeated. */
export function configOf(documents: Documents, inputs: Omit<ConfigInputs, 'files'>): LoadedConfig {
  const files = documents.configurations.map(fileLayer);
  const environment = environmentLayer(inputs.environment);
  const flags = flagLayer(inputs.flags);
  const written = mergeLayers([...files.map((file) => file.layer), environment.layer, flags.layer]);
  const problems = [...files, environment, flags].flatMap((one) => one.problems);
  const report: Report = (path, message, severity = 'error', onKey = false) => {
    const source = sourceOf(written, path, onKey) ?? 'default';
    problems.push({ severity, source, object: null, path: formatPath(path), message });
  };
  const settings = parseSections(treeOf(written), report);
  const config = completeConfig(settings, written, report);
  return config && !hasErrors(problems) ? { ok: true, config, written, problems } : { ok: false, problems };
}

type Report = (path: readonly PropertyKey[], message: string, severity?: Problem['severity'], onKey?: boolean) => void;

const envelope = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal(CONFIGURATION_KIND),
  metadata: z.strictObject({ name: z.string().optional() }).optional(),
  spec: z.record(z.string(), z.unknown()).nullable().optional(),
});
const ENVELOPE = writtenFormOf(envelope);

function fileLayer(document: YamlDocument): { layer: Layer; problems: Problem[] } {
  const parsed = envelope.safeParse(document.value, { reportInput: true });
  const problems = parsed.success
    ? []
    : explainIssues(parsed.error.issues, ENVELOPE, document.value).map(({ path, message, onKey }) => ({
        severity: 'error' as const,
        source: document.locate(path, onKey),
        object: CONFIGURATION_KIND,
        path: formatPath(path),
        message,
      }));
  const { spec } = document.value as { spec?: unknown };
  // A wrong apiVersion does not hide what is wrong below; a spec that is no mapping was reported.
  const layer = layerOf(typeof spec === 'object' && !Array.isArray(spec) ? spec : {}, (path) => ({
    locate: (below, onKey) => document.locate(['spec', ...path, ...below], onKey),
    layer: 'file',
    file: document.file,
  }));
  return { layer, problems };
}

/** Section by section, so that a mistake in one does not hide what is wrong between two others. */
function parseSections(tree: Record<string, unknown>, report: Report): Partial<ParsedSettings> {
  const settings: Record<string, unknown> = {};
  for (const key of Object.keys(tree)) {
    if (!Object.hasOwn(configurationSchema.shape, key)) {
      report([key], unknownKey(key, Object.keys(configurationSchema.shape)), 'error', true);
    }
  }
  for (const [name, section] of Object.entries(configurationSchema.shape)) {
    const parsed = section.safeParse(tree[name], { reportInput: true });
    if (parsed.success) settings[name] = parsed.data;
    else {
      const issues = parsed.error.issues.map((issue) => ({ ...issue, path: [name, ...issue.path] }));
      for (const { path, message, onKey } of explainIssues(issues, SETTINGS, tree))
        report(path, message, 'error', onKey);
    }
  }
  return settings;
}

function completeConfig(settings: Partial<ParsedSettings>, written: Layer, report: Report): Config | undefined {
  const { server, admin, auth, tenants, kubernetes } = settings;
  if (server && admin && server.host === admin.host && server.port === admin.port && server.port !== 0) {
    report(['admin', 'port'], `is the port of the API (server.port ${server.port}) too; give each its own`);
  }
  checkRole(settings, report);
  if (!server || !auth || !tenants || !kubernetes) return undefined;
  const fileOf = () => written.get('tenants')?.file ?? null;
  const callers = {
    server,
    kubernetes,
    auth: {
      anonymous: anonymousIdentity({ auth, server }),
      serviceAccounts: serviceAccountSettings(auth, tenants),
      oidc: auth.oidc,
      protectMetrics: auth.protectMetrics,
    },
    tenants: readTenants(tenants, fileOf, report),
  };
  checkCallers(callers, report);
  checkTokens(callers, auth.serviceAccounts.enabled, report);
  checkQueues(settings, callers, report);
  if (Object.keys(configurationSchema.shape).some((name) => !(name in settings))) return undefined;
  return { ...(settings as ParsedSettings), auth: callers.auth, tenants: callers.tenants };
}

/** Parts of Pilotlight in processes of their own meet in one Kubernetes and one Redis. */
function checkRole({ role, kubernetes, redis }: Partial<ParsedSettings>, report: Report): void {
  if (role === undefined || role === 'all') return;
  if (kubernetes?.enabled === false) {
    report(['role'], `"${role}" alone needs a cluster; set kubernetes.enabled: true, or role: all`);
  }
  if (redis && redis.url === null && redis.sentinel.nodes.length + redis.cluster.nodes.length === 0) {
    report(
      ['redis', 'url'],
      `is missing: role "${role}" shares its Redis with the other roles; set PILOTLIGHT_REDIS_URL`,
    );
  }
}
