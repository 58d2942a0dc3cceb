import { closest } from '../../config/did-you-mean.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import type { PoolSource, PoolView } from './pool-view.ts';

const MOST_NAMED = 20;

/**
 * The pool that somebody means by `name` or `namespace/name`; the name of its ScalePolicy does as well. Throws a CliError
 * that lists what there is when it is none or more than one.
 */
export function findPool<T extends Pick<PoolView, 'pool' | 'policy'>>(
  name: string,
  pools: readonly T[],
  { where, namespace }: Pick<PoolSource, 'where' | 'namespace'>,
): T {
  const wanted = name.split('/');
  const matches = pools.filter((view) => {
    const [inNamespace = '', own = ''] = view.pool.split('/');
    if (wanted.length === 1) return own === name || view.policy === name;
    return inNamespace === wanted[0] && (own === wanted[1] || view.policy === wanted[1]);
  });
  const here = matches.filter(({ pool }) => namespace !== null && pool.startsWith(`${namespace}/`));
  const [found, another] = matches.length > 1 && here.length === 1 ? here : matches;
  if (found && !another) return found;
  if (found) throw new CliError(EXIT.USAGE, `"${name}" could be ${list(matches)}; write it with its namespace`);
  throw new CliError(EXIT.USAGE, `no pool is called "${name}" in ${where}${whatThereIs(name, pools)}`);
}

function whatThereIs(name: string, pools: readonly Pick<PoolView, 'pool'>[]): string {
  if (pools.length === 0) return '; there are no pools';
  const wanted = name.slice(name.lastIndexOf('/') + 1);
  const names = pools.map(({ pool }) => pool.slice(pool.indexOf('/') + 1));
  const near = closest(wanted, names);
  const guess = near === undefined ? '' : `; did you mean "${pools[names.indexOf(near)]?.pool}"?`;
  return `; there ${pools.length === 1 ? 'is' : 'are'} ${list(pools)}${guess}`;
}

function list(pools: readonly Pick<PoolView, 'pool'>[]): string {
  const more = pools.length > MOST_NAMED ? ` and ${pools.length - MOST_NAMED} more` : '';
  return `${pools
    .slice(0, MOST_NAMED)
    .map(({ pool }) => pool)
    .join(', ')}${more}`;
}
