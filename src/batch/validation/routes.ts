import { API_PATHS, type ApiPath } from '../../core/call.ts';
import type { FileFindings } from '../policy/validation/file-check.ts';
import type { Route, RouteAnswer } from '../policy/validation/route-table.ts';
import type { RowGroup, ValidationInput } from '../ports.ts';
import type { ResolveRow, RowRoute } from './ports.ts';

/** The groups of one file: pairs of model and objective that lead to the same place share one. */
export class Routes {
  readonly #input: ValidationInput;
  readonly #resolve: ResolveRow;
  readonly #routes: RowRoute[] = [];
  readonly #numbers = new Map<string, number>();

  constructor(input: ValidationInput, resolve: ResolveRow) {
    this.#input = input;
    this.#resolve = resolve;
  }

  answer({ model, objective }: Route): RouteAnswer {
    const { identity, endpoint, objective: objectiveOfBatch } = this.#input;
    const path = apiPath(endpoint);
    if (path === undefined) {
      return { code: 'invalid_value', message: `The endpoint '${endpoint}' cannot be batched.`, param: 'endpoint' };
    }
    const route = this.#resolve(identity, path, model, objective ?? objectiveOfBatch);
    if ('code' in route) return { code: route.code, message: route.message, param: route.param };
    const { pool, servedModel, adapter } = route;
    const key = JSON.stringify([pool, route.objective, route.path, route.model, servedModel, adapter]);
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.#routes.push(route);
    this.#numbers.set(key, this.#routes.length - 1);
    return this.#routes.length - 1;
  }

  groups(findings: FileFindings): readonly RowGroup[] {
    let firstPlace = 0;
    return findings.groups.flatMap((sums, number) => {
      const route = this.#routes[number];
      if (!route) return [];
      const { pool, objective, path, model, servedModel, adapter } = route;
      const group = { pool, objective, path, model, servedModel, adapter, firstPlace, ...sums };
      firstPlace += sums.rows;
      return [group];
    });
  }
}

function apiPath(endpoint: string): ApiPath | undefined {
  return API_PATHS.find((path) => path === endpoint);
}
