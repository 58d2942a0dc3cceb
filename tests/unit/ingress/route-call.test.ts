import { describe, expect, test } from 'vitest';
import { PilotlightError } from '../../../src/core/errors.ts';
import { callerWishes } from '../../../src/ingress/policy/control-headers.ts';
import { objectiveWish, routeModel, routeObjective, visibleModels } from '../../../src/ingress/policy/route-call.ts';
import { fakeCatalog, identity } from './support/fake-catalog.ts';

const catalog = fakeCatalog();
const pool = [...catalog.pools.values()][0]!;
const nothing = { field: null, header: null, serviceTier: null };

describe('routeModel', () => {
  test('an alias leads to the served model', () => {
    expect(routeModel({ catalog, identity: identity() }, 'gpt-4o-mini')).toMatchObject({ servedModel: 'tiny' });
  });

  test('an adapter is the served model', () => {
    expect(routeModel({ catalog, identity: identity() }, 'tiny-sql')).toMatchObject({ servedModel: 'sql-lora' });
  });

  test('an unknown model is told which there are, of those the caller may use', () => {
    const error = routeModel({ catalog, identity: identity({ allowedModels: ['tiny'] }) }, 'nope', 'body.model');
    expect(error).toMatchObject({
      code: 'model_not_found',
      param: 'body.model',
      message: "The model 'nope' does not exist. You can use: tiny, gpt-4o-mini.",
    });
  });

  test('a caller without any model is told so', () => {
    expect(routeModel({ catalog, identity: identity({ allowedModels: [] }) }, 'nope')).toMatchObject({
      message: expect.stringContaining('(none)') as string,
    });
  });

  test('a model that is not allowed is forbidden', () => {
    expect(routeModel({ catalog, identity: identity({ allowedModels: ['tiny'] }) }, 'tiny-sql')).toMatchObject({
      code: 'model_forbidden',
      param: 'model',
    });
  });

  test('a very long name is cut in the error', () => {
    const error = routeModel({ catalog, identity: identity() }, 'x'.repeat(5_000_000));
    expect(error).toBeInstanceOf(PilotlightError);
    expect((error as PilotlightError).message.length).toBeLessThan(500);
  });

  test.each([
    { name: 'all', allowedModels: null, want: ['tiny', 'gpt-4o-mini', 'tiny-sql'] },
    { name: 'a model with its aliases', allowedModels: ['tiny'], want: ['tiny', 'gpt-4o-mini'] },
    { name: 'an alias alone', allowedModels: ['gpt-4o-mini'], want: ['gpt-4o-mini'] },
    { name: 'none', allowedModels: [], want: [] },
  ])('visibleModels: $name', ({ allowedModels, want }) => {
    expect(visibleModels({ catalog, identity: identity({ allowedModels }) }).map((model) => model.name)).toEqual(want);
  });
});

describe('the objective', () => {
  test.each([
    { name: 'the pool default when nobody names one', caller: {}, sources: {}, want: 'default' },
    { name: "the tenant's default", caller: { defaultObjective: 'interactive' }, sources: {}, want: 'interactive' },
    {
      name: "the pool's default when the tenant's is not in this pool",
      caller: { defaultObjective: 'elsewhere' },
      sources: {},
      want: 'default',
    },
    {
      name: "the header before the tenant's default",
      caller: { defaultObjective: 'interactive' },
      sources: { header: 'nightly' },
      want: 'nightly',
    },
    {
      name: 'the job field before the header',
      caller: {},
      sources: { field: 'nightly', header: 'interactive' },
      want: 'nightly',
    },
    {
      name: 'the header before the service tier',
      caller: { serviceTiers: { flex: 'nightly' } },
      sources: { header: 'interactive', serviceTier: 'flex' },
      want: 'interactive',
    },
    {
      name: 'a mapped service tier',
      caller: { serviceTiers: { flex: 'nightly' } },
      sources: { serviceTier: 'flex' },
      want: 'nightly',
    },
    {
      name: 'the default for a tier that is not mapped',
      caller: { defaultObjective: 'interactive' },
      sources: { serviceTier: 'auto' },
      want: 'interactive',
    },
    {
      name: 'the default for a tier named like a method',
      caller: {},
      sources: { serviceTier: 'constructor' },
      want: 'default',
    },
    {
      name: 'an allowed one',
      caller: { allowedObjectives: ['nightly'] },
      sources: { field: 'nightly' },
      want: 'nightly',
    },
    {
      name: "the tenant's default without an allowance",
      caller: { defaultObjective: 'interactive', allowedObjectives: ['nightly'] },
      sources: {},
      want: 'interactive',
    },
  ])('is $name', ({ caller, sources, want }) => {
    const who = identity(caller);
    expect(
      routeObjective({ catalog, identity: who }, pool, objectiveWish(who, { ...nothing, ...sources })),
    ).toMatchObject({
      name: want,
    });
  });

  test.each([
    {
      name: 'unknown, with the list of what exists',
      caller: {},
      sources: { field: 'nope' },
      want: {
        code: 'unknown_objective',
        param: 'objective',
        message: "The objective 'nope' does not exist in pool 'chat'. You can use: interactive, nightly.",
      },
    },
    {
      name: 'unknown, by header',
      caller: {},
      sources: { header: 'nope' },
      want: { code: 'unknown_objective', param: 'x-llm-d-inference-objective' },
    },
    {
      name: 'forbidden, with the list of what is allowed',
      caller: { allowedObjectives: ['nightly'] },
      sources: { field: 'interactive' },
      want: {
        code: 'objective_forbidden',
        param: 'objective',
        message: "Tenant 'acme' may not use the objective 'interactive'. It can use: nightly.",
      },
    },
    {
      name: 'forbidden, by service tier',
      caller: { allowedObjectives: [], serviceTiers: { flex: 'nightly' } },
      sources: { serviceTier: 'flex' },
      want: { code: 'objective_forbidden', param: 'service_tier' },
    },
    {
      name: 'forbidden, as the default of the pool',
      caller: { allowedObjectives: ['nightly'] },
      sources: {},
      want: { code: 'objective_forbidden', param: 'objective' },
    },
  ])('is $name', ({ caller, sources, want }) => {
    const who = identity(caller);
    expect(
      routeObjective({ catalog, identity: who }, pool, objectiveWish(who, { ...nothing, ...sources })),
    ).toMatchObject(want);
  });
});

describe('callerWishes', () => {
  const current = { 'x-llm-d-inference-objective': 'nightly', 'x-llm-d-inference-fairness-id': 'team-a' };
  const older = { 'x-gateway-inference-objective': 'interactive', 'x-gateway-inference-fairness-id': 'team-b' };

  test.each([
    { name: 'the current names', headers: current, want: { objective: 'nightly', fairnessId: 'team-a' } },
    { name: 'the older names', headers: older, want: { objective: 'interactive', fairnessId: 'team-b' } },
    {
      name: 'the current names before the older',
      headers: { ...older, ...current },
      want: { objective: 'nightly', fairnessId: 'team-a' },
    },
    { name: 'an empty value as none', headers: { 'x-llm-d-inference-objective': '' }, want: { objective: null } },
    { name: 'nothing when nothing is sent', headers: {}, want: { objective: null, fairnessId: null, ignored: [] } },
  ])('of a trusted caller reads $name', ({ headers, want }) => {
    expect(callerWishes(headers, true)).toMatchObject(want);
  });

  test('of an untrusted caller reads nothing, and says what it ignored', () => {
    expect(callerWishes({ ...current, ...older }, false)).toEqual({
      objective: null,
      fairnessId: null,
      ignored: [
        'x-llm-d-inference-objective',
        'x-gateway-inference-objective',
        'x-llm-d-inference-fairness-id',
        'x-gateway-inference-fairness-id',
      ],
    });
  });

  test.each([['a b'], ['x'.repeat(254)], ['ü'], ['a\nb']])('refuses the value %j and names the header', (value) => {
    expect(callerWishes({ 'x-llm-d-inference-fairness-id': value }, true)).toMatchObject({
      code: 'invalid_value',
      param: 'x-llm-d-inference-fairness-id',
    });
  });
});
