import type { ChatFacts, JobFacts, RunFacts } from './facts.ts';

const EXAMPLES = 3;

/**
 * What the run broke of the promise that every accepted request has exactly one outcome, the right one: one sentence
 * each, none when all is well.
 */
export function brokenPromises(run: RunFacts): readonly string[] {
  return [...aboutJobs(run), ...aboutResults(run), ...aboutChats(run), ...aboutCounts(run), ...aboutPool(run)];
}

function aboutJobs({ jobs, plannedJobs }: RunFacts): string[] {
  return [
    ...(plannedJobs > jobs.length ? [`${plannedJobs - jobs.length} of ${plannedJobs} jobs were never accepted`] : []),
    ...named(
      jobs.filter(({ status }) => status === null),
      'accepted jobs have no outcome',
    ),
    ...named(
      jobs.filter(({ status }) => status !== null && status !== 'completed'),
      'jobs did not complete',
    ),
    ...named(
      jobs.filter(({ textIsRight }) => textIsRight === false),
      'jobs have a wrong text',
    ),
    ...named(repeated(jobs), 'jobs got an id that another job has'),
  ];
}

function aboutResults({ jobs, resultIds }: RunFacts): string[] {
  const inFile = new Set(resultIds);
  const missing = jobs.filter(({ id, status }) => status !== null && !inFile.has(id));
  const accepted = new Set(jobs.map(({ id }) => id));
  const strange = resultIds.filter((id) => !accepted.has(id));
  return [
    ...(inFile.size < resultIds.length
      ? [`${resultIds.length - inFile.size} lines of the results file repeat a job`]
      : []),
    ...named(missing, 'finished jobs are missing in the results file'),
    ...(strange.length > 0 ? [`${strange.length} lines of the results file belong to no accepted job`] : []),
  ];
}

/** A chat that was cut is the one loss that is allowed, and only by the death of the process that held it. */
function aboutChats({ chats, plannedChats, serverDeaths }: RunFacts): string[] {
  const lost = chats.filter(({ outcome }) => outcome === 'failed' || (outcome === 'cut' && serverDeaths === 0));
  const indexes = new Set(chats.map(({ index }) => index));
  return [
    ...(indexes.size !== plannedChats || chats.length !== plannedChats
      ? [`${plannedChats} chats were begun and ${chats.length} have an outcome`]
      : []),
    ...lost.map(({ index, error }) => `chat ${index + 1} failed: ${error ?? 'without a reason'}`),
    ...wrongTexts(chats),
  ];
}

function wrongTexts(chats: readonly ChatFacts[]): string[] {
  return chats
    .filter(({ textIsRight }) => textIsRight === false)
    .map(({ index }) => `chat ${index + 1} got a wrong text`);
}

/** Without a death the server's own counts must agree; a dead process takes its last counts with it. */
function aboutCounts({ jobs, chats, settled, serverDeaths, unansweredSubmissions }: RunFacts): string[] {
  if (serverDeaths > 0 || unansweredSubmissions > 0) return [];
  const heldChats = chats.filter(({ outcome }) => outcome !== 'refused').length;
  return [
    ...(settled.jobs !== jobs.length ? [`the server settled ${settled.jobs} jobs and accepted ${jobs.length}`] : []),
    ...(settled.chats !== heldChats ? [`the server settled ${settled.chats} chats and took ${heldChats}`] : []),
  ];
}

function aboutPool({ poolIsAtZero }: RunFacts): string[] {
  return poolIsAtZero ? [] : ['the pool did not go back to zero in time'];
}

function repeated(jobs: readonly JobFacts[]): JobFacts[] {
  const seen = new Set<string>();
  return jobs.filter(({ id }) => {
    const isKnown = seen.has(id);
    seen.add(id);
    return isKnown;
  });
}

function named(jobs: readonly JobFacts[], what: string): string[] {
  if (jobs.length === 0) return [];
  const examples = jobs.slice(0, EXAMPLES).map(({ id }) => id);
  return [`${jobs.length} ${what}: ${examples.join(', ')}${jobs.length > EXAMPLES ? ', …' : ''}`];
}
