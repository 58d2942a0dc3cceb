import { describe, expect, test } from 'vitest';
import { GuaranteeCheck } from '../../../src/config/objects/check-guarantees.ts';
import type { Reporter } from '../../../src/config/objects/report.ts';
import { orderRules } from '../../../src/core/order-rules.ts';
import { objectiveSpec } from '../autoscaler/support/builders.ts';
import { compile, compileOk, texts } from './support.ts';

const objects = (...policies: readonly string[]) => `apiVersion: pilotlight.dev/v1alpha1
kind: ScalePolicy
metadata: {name: p}
spec:
  pool: {selector: {matchLabels: {app: p}}, targetPorts: [{number: 8000}]}
  models: [{name: m}]
  targets: [{name: t, process: {command: [vllm, "{port}"]}}]
${policies
  .map(
    (spec, index) => `---
apiVersion: llm-d.ai/v1alpha2
kind: InferenceObjective
metadata: {name: o${index}}
spec: {priority: ${index}, poolRef: {name: p}}
---
apiVersion: pilotlight.dev/v1alpha1
kind: ObjectivePolicy
metadata: {name: op${index}}
spec: {targetRefs: [{name: o${index}}], ${spec}}
`,
  )
  .join('')}`;

describe('claims of the objectives of one pool', () => {
  test('90 percent together hold', () => {
    const catalog = compileOk(objects('guaranteedSharePercent: 60', 'guaranteedSharePercent: 30'));
    expect(orderRules(catalog, 'default/p').map((rules) => rules.guaranteedSharePercent)).toEqual([60, 30]);
  });

  test.each([
    {
      name: 'guaranteed shares',
      policies: ['guaranteedSharePercent: 60', 'guaranteedSharePercent: 40'],
      want: 'ObjectivePolicy default/op1: spec.guaranteedSharePercent: the guaranteed shares of pool "default/p" add up to 100 % with objective "o1"; 90 at most, so lower some by 10',
    },
    {
      name: 'reserved slots',
      policies: ['reservedSlots: {percent: 90}', 'reservedSlots: {percent: 1}'],
      want: 'ObjectivePolicy default/op1: spec.reservedSlots.percent: the reserved slots of pool "default/p" add up to 91 % with objective "o1"; 90 at most, so lower some by 1',
    },
  ])('more is a mistake in a file: $name', ({ policies, want }) => {
    const problems = texts(compile(objects(...policies)).problems);
    expect(problems.map((problem) => problem.replace(/^objects\.yaml:\d+:\d+: /, ''))).toEqual([want]);
  });

  test('on a server the claim that goes beyond is dropped, and the other one stays', () => {
    const warnings: string[] = [];
    const report = { warn: (_object, _path, message) => warnings.push(message) } as Partial<Reporter> as Reporter;
    const check = new GuaranteeCheck({ served: true, missing: new Map() } as never, report);
    const claim = (name: string) => objectiveSpec({ name, guaranteedSharePercent: 50, reservedSlotsPercent: 40 });
    expect(check.admit(claim('a'), {} as never)).toEqual(claim('a'));
    expect(check.admit(claim('b'), {} as never)).toEqual({ ...claim('b'), guaranteedSharePercent: 0 });
    expect(warnings).toHaveLength(1);
  });
});

test('the rules of a pool name each objective once, in order, with what its policy says', () => {
  const catalog = compileOk(objects('aging: 30m, paused: true', 'reservedSlots: {percent: 20, lapseAfter: 1m}'));
  expect(orderRules(catalog, 'default/p')).toEqual([
    {
      ...{ objective: 'o0', priority: 0, guaranteedSharePercent: 0, agingMs: 1_800_000 },
      ...{ reservedSlotsPercent: 0, reservedLapseMs: 0, paused: true },
    },
    {
      ...{ objective: 'o1', priority: 1, guaranteedSharePercent: 0, agingMs: null },
      ...{ reservedSlotsPercent: 20, reservedLapseMs: 60_000, paused: false },
    },
  ]);
  expect(orderRules(catalog, 'default/other')).toEqual([]);
});
