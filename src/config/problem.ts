/**
 * One thing that is wrong with the configuration or an object. Problems are values: all of them are collected and
 * shown at once, and only an `error` stops anything.
 */
export interface Problem {
  readonly severity: 'error' | 'warning';
  /** Where it was written: "examples/local.yaml:12:5", "PILOTLIGHT_SERVER_PORT" or "--set server.port". */
  readonly source: string;
  /** "ScalePolicy default/tickets"; null for the configuration. */
  readonly object: string | null;
  /** "server.port" or "spec.targets[0].maxReplicas"; "" = the whole document. */
  readonly path: string;
  /** What is wrong, and what to do about it. */
  readonly message: string;
  /** Reason of the condition it becomes in Kubernetes; absent = `Invalid`, or none for a mere remark. */
  readonly reason?: ProblemReason;
  /** A warning in files, because the rest holds; still the object as a whole has no effect. */
  readonly withoutEffect?: true;
}

/**
 * Conflicted: something older has it · NotReady: in place and without effect · PoolNotFound, ObjectiveNotFound: what it
 * names is not there · CrdMissing: nor can it be, its kind is not installed · SelectorOverlap: the pods are another pool's too.
 */
export type ProblemReason =
  | 'Invalid'
  | 'Conflicted'
  | 'NotReady'
  | 'PoolNotFound'
  | 'ObjectiveNotFound'
  | 'CrdMissing'
  | 'SelectorOverlap';

export type PathSegment = string | number;

/** "targets[0].maxReplicas" */
export function formatPath(segments: readonly PropertyKey[]): string {
  return segments
    .map((segment, index) => (typeof segment === 'number' ? `[${segment}]` : `${index ? '.' : ''}${String(segment)}`))
    .join('');
}

/** "examples/local.yaml:12:5: ScalePolicy default/tickets: spec.mode: …", one line. */
export function formatProblem(problem: Problem): string {
  const where = [problem.source, problem.object, problem.path].filter(Boolean).join(': ');
  return `${problem.severity === 'warning' ? 'warning: ' : ''}${where}: ${problem.message}`;
}

export function hasErrors(problems: readonly Problem[]): boolean {
  return problems.some((problem) => problem.severity === 'error');
}

/** One problem a line: errors first, then in the order of files and lines. */
export function formatProblems(problems: readonly Problem[]): string {
  const byPlace = (a: Problem, b: Problem) =>
    a.severity.localeCompare(b.severity) || a.source.localeCompare(b.source, 'en', { numeric: true });
  return problems.toSorted(byPlace).map(formatProblem).join('\n');
}

/** "no problems", "1 problem", "2 problems and 1 warning". */
export function countProblems(problems: readonly Problem[]): string {
  const errorCount = problems.filter((problem) => problem.severity === 'error').length;
  const warningCount = problems.length - errorCount;
  const parts = [
    ...(errorCount > 0 ? [`${errorCount} ${errorCount === 1 ? 'problem' : 'problems'}`] : []),
    ...(warningCount > 0 ? [`${warningCount} ${warningCount === 1 ? 'warning' : 'warnings'}`] : []),
  ];
  return parts.join(' and ') || 'no problems';
}
