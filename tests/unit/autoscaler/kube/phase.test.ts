import { expect, test } from 'vitest';
import { newest, type PodEvent, podEvent } from '../../../../src/autoscaler/policy/kube/pod-events.ts';
import { type PodMemory, seePod } from '../../../../src/autoscaler/policy/kube/pod-memory.ts';
import { podPhase } from '../../../../src/autoscaler/policy/kube/pod-phase.ts';
import type { TroubleContext } from '../../../../src/autoscaler/policy/kube/pod-trouble.ts';
import { KUBE_MARKS } from '../../../../src/core/kubernetes.ts';
import type { BootTroubleKind, WarmUpPhase } from '../../../../src/core/replicas.ts';
import { at, NOW_MS, type PodChange, pod } from './support/builders.ts';

const CONTEXT: Omit<TroubleContext, 'stage'> = {
  inStageMs: 1_000,
  nowEpochMs: NOW_MS,
  events: [],
  deviceFreesSoon: false,
  readyDrops: 0,
  bootingMs: 1_000,
  bootTimeoutMs: 1_800_000,
  reached: null,
};

const event = (reason: string, message = '', agoMs = 1_000): PodEvent => ({
  reason,
  message,
  atEpochMs: NOW_MS - agoMs,
});
const waiting = (reason: string, message?: string) => ({ waiting: { reason, ...(message ? { message } : {}) } });
const ended = (reason: string, exitCode = 1, agoMs = 5_000) => ({
  terminated: { reason, exitCode, finishedAt: at(agoMs) },
});
const running = { running: { startedAt: at(1_000) } };

test.each<{ name: string; pod: PodChange; context?: Partial<typeof CONTEXT>; want: WarmUpPhase | null }>([
  { name: 'without a node it is Pending', pod: { stage: 'unscheduled' }, want: 'Pending' },
  { name: 'with a node it is Scheduled', pod: { stage: 'scheduled' }, want: 'Scheduled' },
  { name: 'with a sandbox it pulls its image', pod: { stage: 'creating' }, want: 'ImagePulling' },
  {
    name: 'an Event says that it pulls before its fields do',
    pod: { stage: 'scheduled' },
    context: { events: [event('Pulling')] },
    want: 'ImagePulling',
  },
  { name: 'a container that runs loads its model', pod: { stage: 'loading' }, want: 'ModelLoading' },
  { name: 'a container that ended once loads again', pod: { stage: 'loading', restarts: 1 }, want: 'ModelLoading' },
  { name: 'a ready pod is Ready', pod: {}, want: 'Ready' },
  { name: 'our mark drains it', pod: { annotations: { [KUBE_MARKS.drain]: '1' } }, want: 'Draining' },
  { name: 'a deleted pod drains, whatever it was', pod: { stage: 'unscheduled', deleted: true }, want: 'Draining' },
  {
    name: 'an eviction drains it',
    pod: { conditions: [{ type: 'DisruptionTarget', status: 'True' }] },
    want: 'Draining',
  },
  { name: 'a pod that ran and failed is over', pod: { phase: 'Failed', reason: 'Evicted' }, want: null },
  { name: 'a pod that succeeded is over', pod: { phase: 'Succeeded' }, want: null },
])('phase: $name', ({ pod: change, context, want }) => {
  expect(podPhase(pod(change), { ...CONTEXT, ...context })?.phase ?? null).toBe(want);
});

test('what cannot be taken back is terminating: deleted and evicted pods, not those that only carry our mark', () => {
  const terminating = (change: PodChange) => podPhase(pod(change), CONTEXT)?.terminating;
  expect(terminating({ deleted: true })).toBe(true);
  expect(terminating({ conditions: [{ type: 'DisruptionTarget', status: 'True' }] })).toBe(true);
  expect(terminating({ annotations: { [KUBE_MARKS.drain]: '1' } })).toBe(false);
});

test('an init container that runs, and containers of which only some run, have started', () => {
  const base = pod({ stage: 'creating' });
  const init = [{ name: 'download', state: running }];
  expect(podPhase({ ...base, status: { ...base.status, initContainerStatuses: init } }, CONTEXT)?.phase).toBe(
    'ContainerStarted',
  );
  const two = [...(base.status?.containerStatuses ?? []), { name: 'proxy', state: running }];
  expect(podPhase({ ...base, status: { ...base.status, containerStatuses: two } }, CONTEXT)?.phase).toBe(
    'ContainerStarted',
  );
});

test('a clock that runs ahead elsewhere never makes a phase begin in the future', () => {
  expect(podPhase(pod({ agoMs: -60_000 }), CONTEXT)).toMatchObject({
    phaseSinceEpochMs: NOW_MS,
    readyAtEpochMs: NOW_MS,
  });
});

const unschedulable = {
  stage: 'unscheduled',
  conditions: [
    {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message: '0/2 nodes are available: 2 Insufficient nvidia.com/gpu.',
    },
  ],
} as const;
const noGo = /unauthorized/;

interface Row {
  readonly name: string;
  readonly pod: PodChange;
  readonly context?: Partial<typeof CONTEXT>;
  readonly kind: BootTroubleKind | null;
  readonly phase: WarmUpPhase;
  readonly permanent?: boolean;
  readonly blocks?: boolean;
  readonly says?: RegExp;
}

const PULL_ERROR = 'rpc error: code = Unknown desc = 401 unauthorized';

test.each<Row>([
  {
    name: 'no node yet',
    pod: unschedulable,
    kind: 'Unschedulable',
    phase: 'Pending',
    blocks: false,
    says: /Insufficient/,
  },
  {
    name: 'no node for 2 minutes',
    pod: unschedulable,
    context: { inStageMs: 120_000 },
    kind: 'Unschedulable',
    phase: 'Pending',
    blocks: true,
  },
  {
    name: 'a node is on its way',
    pod: unschedulable,
    context: { inStageMs: 600_000, events: [event('TriggeredScaleUp', '1->2')] },
    kind: 'Unschedulable',
    phase: 'Pending',
    blocks: false,
    says: /1->2/,
  },
  {
    name: 'Karpenter nominated one',
    pod: unschedulable,
    context: { inStageMs: 600_000, events: [event('Nominated')] },
    kind: 'Unschedulable',
    phase: 'Pending',
    blocks: false,
  },
  {
    name: 'a node that does not come',
    pod: unschedulable,
    context: { inStageMs: 900_000, events: [event('TriggeredScaleUp')] },
    kind: 'Unschedulable',
    phase: 'Pending',
    blocks: true,
  },
  {
    name: 'the cluster autoscaler adds none',
    pod: unschedulable,
    context: { events: [event('NotTriggerScaleUp', 'max size reached')] },
    kind: 'Unschedulable',
    phase: 'Pending',
    blocks: true,
    says: /max size reached/,
  },
  {
    name: 'none before, one now',
    pod: unschedulable,
    context: { events: [event('NotTriggerScaleUp', '', 9_000), event('TriggeredScaleUp')] },
    kind: 'Unschedulable',
    phase: 'Pending',
    blocks: false,
  },
  {
    name: 'the GPU of a replica that ends',
    pod: unschedulable,
    context: { inStageMs: 300_000, deviceFreesSoon: true },
    kind: 'WaitingForGpu',
    phase: 'Pending',
    blocks: false,
  },
  {
    name: 'a scheduling gate',
    pod: { stage: 'unscheduled', gates: ['kueue.x-k8s.io/admission'] },
    kind: 'SchedulingGated',
    phase: 'Pending',
    blocks: true,
    says: /Kueue/,
  },
  {
    name: 'no verdict of the scheduler',
    pod: { stage: 'unscheduled' },
    context: { inStageMs: 999_999 },
    kind: null,
    phase: 'Pending',
  },
  {
    name: 'a pull that is not allowed',
    pod: { stage: 'creating', state: waiting('ErrImagePull', PULL_ERROR) },
    kind: 'ImagePull',
    phase: 'Stuck',
    permanent: true,
    blocks: true,
    says: noGo,
  },
  {
    name: 'a back-off whose cause is known from an Event',
    pod: { stage: 'creating', state: waiting('ImagePullBackOff', 'Back-off pulling image') },
    context: { events: [event('Failed', PULL_ERROR)] },
    kind: 'ImagePull',
    phase: 'Stuck',
    permanent: true,
    says: noGo,
  },
  {
    name: 'a pull that may pass',
    pod: { stage: 'creating', state: waiting('ImagePullBackOff', 'i/o timeout') },
    kind: 'ImagePull',
    phase: 'ImagePulling',
    permanent: false,
    blocks: true,
  },
  {
    name: 'a pull that does not pass',
    pod: { stage: 'creating', state: waiting('ImagePullBackOff', 'i/o timeout') },
    context: { inStageMs: 600_000 },
    kind: 'ImagePull',
    phase: 'Stuck',
    permanent: false,
  },
  {
    name: 'no image name',
    pod: { stage: 'creating', state: waiting('InvalidImageName') },
    kind: 'ImagePull',
    phase: 'Stuck',
    permanent: true,
  },
  {
    name: 'a missing Secret',
    pod: { stage: 'creating', state: waiting('CreateContainerConfigError', 'secret "hf" not found') },
    kind: 'ConfigError',
    phase: 'Stuck',
    permanent: true,
    says: /secret "hf"/,
  },
  {
    name: 'a volume that does not mount',
    pod: { stage: 'scheduled' },
    context: { events: [event('FailedMount', 'no claim')] },
    kind: 'VolumeMount',
    phase: 'Scheduled',
    blocks: true,
    says: /no claim/,
  },
  {
    name: 'a volume that never mounts',
    pod: { stage: 'scheduled' },
    context: { inStageMs: 120_000, events: [event('FailedAttachVolume')] },
    kind: 'VolumeMount',
    phase: 'Stuck',
  },
  {
    name: 'a program that is not there',
    pod: { stage: 'creating', state: waiting('RunContainerError', 'exec: "vlm": executable file not found') },
    kind: 'StartError',
    phase: 'Stuck',
    permanent: true,
    blocks: true,
  },
  {
    name: 'a runtime that fails',
    pod: { stage: 'creating', state: waiting('CreateContainerError', 'context deadline exceeded') },
    kind: 'StartError',
    phase: 'Stuck',
    permanent: false,
    blocks: false,
  },
  {
    name: 'a node that refuses the pod',
    pod: { stage: 'scheduled', phase: 'Failed', reason: 'UnexpectedAdmissionError', message: 'no healthy devices' },
    kind: 'AdmissionRejected',
    phase: 'Stuck',
    says: /no healthy devices.*node-1/,
  },
  {
    name: 'a crash loop',
    pod: { stage: 'loading', state: waiting('CrashLoopBackOff'), lastState: ended('Error', 3), restarts: 3 },
    kind: 'CrashLoop',
    phase: 'Stuck',
    says: /exit code 3.*3 restarts.*kubectl logs/,
  },
  {
    name: 'a second crash',
    pod: { stage: 'loading', lastState: ended('Error'), restarts: 2 },
    kind: 'CrashLoop',
    phase: 'Stuck',
  },
  {
    name: 'two crashes long ago',
    pod: { stage: 'loading', lastState: ended('Error', 1, 3_600_000), restarts: 2 },
    kind: null,
    phase: 'ModelLoading',
  },
  {
    name: 'one crash',
    pod: { stage: 'loading', lastState: ended('Error'), restarts: 1 },
    kind: null,
    phase: 'ModelLoading',
  },
  {
    name: 'a first kill for memory',
    pod: { stage: 'loading', lastState: ended('OOMKilled', 137), restarts: 1 },
    kind: 'OutOfMemory',
    phase: 'ModelLoading',
  },
  {
    name: 'killed for memory again and again',
    pod: { stage: 'loading', state: waiting('CrashLoopBackOff'), lastState: ended('OOMKilled', 137), restarts: 2 },
    kind: 'OutOfMemory',
    phase: 'Stuck',
    says: /memory limit/,
  },
  {
    name: 'ready, but its address does not answer us',
    pod: {},
    context: { reached: false, inStageMs: 15_000 },
    kind: 'Unreachable',
    phase: 'ModelLoading',
    permanent: true,
    blocks: true,
    says: /mesh/,
  },
  { name: 'ready for a moment and not asked yet', pod: {}, context: { reached: false }, kind: null, phase: 'Ready' },
  {
    name: 'a boot beyond its limit',
    pod: { stage: 'loading' },
    context: { bootingMs: 1_800_000 },
    kind: 'Overdue',
    phase: 'Stuck',
    says: /within 30m \(boot.timeout\)/,
  },
  {
    name: 'a pod that loses its readiness again and again',
    pod: {},
    context: { readyDrops: 3 },
    kind: 'Flapping',
    phase: 'Ready',
  },
  { name: 'a pod that lost it twice', pod: {}, context: { readyDrops: 2 }, kind: null, phase: 'Ready' },
])('trouble: $name', ({ pod: change, context, kind, phase, permanent, blocks, says }) => {
  const seen = podPhase(pod(change), { ...CONTEXT, ...context });
  expect([seen?.trouble?.kind ?? null, seen?.phase]).toEqual([kind, phase]);
  if (permanent !== undefined) expect(seen?.trouble?.permanent).toBe(permanent);
  if (blocks !== undefined) expect(seen?.trouble?.blocksOrders).toBe(blocks);
  if (says !== undefined) expect(seen?.trouble?.message).toMatch(says);
});

test('a native sidecar that cannot start holds the pod; an init container that is done does not', () => {
  const base = pod({ stage: 'loading' });
  const withInit = (name: string, state: object) =>
    podPhase(
      {
        ...base,
        spec: { ...base.spec, initContainers: [{ name: 'mesh', restartPolicy: 'Always' }, { name: 'copy' }] },
        status: { ...base.status, initContainerStatuses: [{ name, state }] },
      },
      CONTEXT,
    );
  expect(withInit('mesh', waiting('ErrImagePull', 'not found'))?.trouble?.kind).toBe('ImagePull');
  expect(withInit('copy', { terminated: { exitCode: 0, reason: 'Completed' } })?.trouble).toBeNull();
});

test('Events: what says nothing of a boot is left out, and the newest of a reason counts', () => {
  const metadata = { name: 'e', creationTimestamp: at(5_000) };
  expect(podEvent({ metadata, reason: 'Killing', message: '' })).toBeNull();
  expect(podEvent({ metadata, reason: 'Pulling', message: 'x', lastTimestamp: null })).toEqual(
    event('Pulling', 'x', 5_000),
  );
  expect(newest([event('BackOff', 'old', 9_000), event('BackOff', 'new')], 'BackOff')?.message).toBe('new');
});

test('memory: readiness that is lost is counted for 10 minutes, and a restart begins the boot anew', () => {
  let memory: PodMemory | undefined;
  const see = (change: PodChange, nowMs: number): PodMemory => (memory = seePod(memory, pod(change), nowMs));
  expect(see({ stage: 'unscheduled' }, 0)).toMatchObject({ stage: 'Pending', scheduledSinceMs: null });
  expect(see({ stage: 'loading' }, 10)).toMatchObject({ stageSinceMs: 10, scheduledSinceMs: 10 });
  expect(see({}, 20)).toMatchObject({ stageSinceMs: 20, hasBeenReady: true });
  expect(see({ stage: 'loading' }, 30)).toMatchObject({ readyDropsMs: [30], scheduledSinceMs: 30, hasBeenReady: true });
  expect(see({ stage: 'loading', restarts: 1 }, 40)).toMatchObject({ stageSinceMs: 40, scheduledSinceMs: 40 });
  see({}, 50);
  expect(see({ deleted: true, stage: 'loading' }, 60).readyDropsMs).toEqual([30]);
  expect(see({}, 700_000).readyDropsMs).toEqual([]);
});
