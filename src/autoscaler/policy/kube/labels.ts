export type Labels = Readonly<Record<string, string>>;

/** Whether `labels` have every one of `wanted`. An empty selection matches nothing, as in an InferencePool. */
export function matchesLabels(labels: Labels | undefined, wanted: Labels): boolean {
  const entries = Object.entries(wanted);
  return entries.length > 0 && entries.every(([name, value]) => labels?.[name] === value);
}

/**
 * Whether `labels` satisfy a selector as `status.selector` of a /scale writes it: comma-separated `a=b`, `a==b`, `a!=b`,
 * `a in (b,c)`, `a notin (b)`, `a`, `!a`. False for an empty selector and for one that cannot be read.
 */
export function matchesSelector(labels: Labels | undefined, selector: string): boolean {
  const requirements = splitOutsideBrackets(selector);
  return requirements.length > 0 && requirements.every((requirement) => matchesRequirement(labels ?? {}, requirement));
}

function splitOutsideBrackets(selector: string): readonly string[] {
  return selector
    .split(/,(?![^(]*\))/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function matchesRequirement(labels: Labels, requirement: string): boolean {
  const [, key = '', operator = '', list = ''] =
    /^([^\s=!()]+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(requirement) ??
    /^([^\s=!()]+)\s*(==|=|!=)\s*([^\s()]*)$/.exec(requirement) ??
    /^(!?[^\s=!()]+)()()$/.exec(requirement) ??
    [];
  const value = labels[key];
  const values = list.split(',').map((one) => one.trim());
  switch (operator) {
    case '=':
    case '==':
    case 'in':
      return value !== undefined && values.includes(value);
    case '!=':
    case 'notin':
      return value === undefined || !values.includes(value);
    default:
      if (key.startsWith('!')) return labels[key.slice(1)] === undefined;
      return key !== '' && value !== undefined;
  }
}
