import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';

/** One change of a scale as the API server saw it; wall clock, milliseconds with fraction. */
export interface ScalePatch {
  readonly namespace: string;
  readonly name: string;
  readonly status: number;
  readonly receivedAtEpochMs: number;
  readonly storedAtEpochMs: number;
}

interface AuditEvent {
  readonly objectRef?: { readonly namespace?: string; readonly name?: string };
  readonly responseStatus?: { readonly code?: number };
  readonly requestReceivedTimestamp: string;
  readonly stageTimestamp: string;
}

const POLICY = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [
    { level: 'Metadata', verbs: ['patch'], resources: [{ group: 'apps', resources: ['deployments/scale'] }] },
    { level: 'None' },
  ],
};

/** Flags of an API server that writes each patch of a Deployment's scale into `folder`. */
export async function auditArgs(folder: string): Promise<readonly string[]> {
  const policy = join(folder, 'audit-policy.yaml');
  await writeFile(policy, stringify(POLICY));
  return ['--audit-policy-file', policy, '--audit-log-path', auditPath(folder)];
}

/** All patches so far, oldest first. */
export async function readScalePatches(folder: string): Promise<readonly ScalePatch[]> {
  const lines = (await readFile(auditPath(folder), 'utf8')).split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const event = JSON.parse(line) as AuditEvent;
    return {
      namespace: event.objectRef?.namespace ?? '',
      name: event.objectRef?.name ?? '',
      status: event.responseStatus?.code ?? 0,
      receivedAtEpochMs: epochMsOf(event.requestReceivedTimestamp),
      storedAtEpochMs: epochMsOf(event.stageTimestamp),
    };
  });
}

function auditPath(folder: string): string {
  return join(folder, 'audit.log');
}

/** RFC 3339 with microseconds, which Date cuts to milliseconds. */
function epochMsOf(timestamp: string): number {
  const fraction = /\.(\d+)Z$/.exec(timestamp)?.[1] ?? '0';
  return Date.parse(timestamp.replace(/\.\d+Z$/, 'Z')) + Number(`0.${fraction}`) * 1_000;
}
