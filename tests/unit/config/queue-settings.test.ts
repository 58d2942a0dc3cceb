import { describe, expect, test } from 'vitest';
import { loadOk, loadProblems } from './support.ts';

const URL = 'https://sqs.eu-west-1.amazonaws.com/1/work';
const queues = (...lines: string[]) => `  sqs: {queues: [${lines.map((line) => `{${line}}`).join(', ')}]}\n`;
const WORK = `name: work, url: "${URL}", tenant: anonymous`;

test('a queue comes with safe defaults', () => {
  expect(loadOk({ spec: queues(WORK) }).config.sqs.queues).toMatchObject([
    {
      name: 'work',
      tenant: 'anonymous',
      replyTo: [],
      buckets: [],
      resultsUrl: null,
      maxHeld: 100,
      maxResultBytes: 262_144,
      visibilityMs: 120_000,
    },
  ]);
});

describe('refused with a remedy', () => {
  test.each([
    ['a tenant that nobody is', queues(WORK.replace('anonymous', 'team-x')), /"team-x" is no tenant/],
    ['two of one name', queues(WORK, WORK.replace('/work', '/other')), /"work" is already sqs\.queues\[0\]/],
    ['one queue twice', queues(WORK, WORK.replace('name: work', 'name: again')), /take requests from it once/],
    ['results that come back as requests', queues(`${WORK}, resultsUrl: "${URL}"`), /name another/],
    ['replies that come back as requests', queues(`${WORK}, replyTo: ["${URL}"]`), /take it out/],
    ['jobs that are turned off', `${queues(WORK)}  jobs: {enabled: false}\n`, /set jobs\.enabled: true/],
    ['a visibility that is too short', queues(`${WORK}, visibility: 2s`), /from "10s" to "12h"/],
    ['a URL that is none', queues(WORK.replace('https:', 'sqs:')), /is not the URL of a queue/],
  ])('%s', (_, spec, problem) => {
    expect(JSON.stringify(loadProblems({ spec }))).toMatch(new RegExp(problem.source.replaceAll('"', String.raw`\\"`)));
  });
});
