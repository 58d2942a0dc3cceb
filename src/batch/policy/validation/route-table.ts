import { problem, type RowProblem, shown } from './row-problem.ts';

/** What decides where a row goes. */
export interface Route {
  readonly model: string;
  /** Named by the row itself. */
  readonly objective: string | null;
}

/** The number of the route's group, or why its rows cannot run. */
export type RouteAnswer = number | RowProblem;

/** No name of a model is longer. */
const MAX_MODEL_CHARACTERS = 1_024;
const MAX_ROUTES = 4_096;

/** Which group the rows of each pair of model and objective belong to; asks once for each pair. */
export class RouteTable {
  readonly #maxModels: number;
  readonly #models = new Set<string>();
  readonly #answers = new Map<string, RouteAnswer>();

  constructor(maxModels: number) {
    this.#maxModels = maxModels;
  }

  *groupOf({ model, objective }: Route): Generator<Route, RouteAnswer, RouteAnswer> {
    const key = `${objective ?? ''}\0${model}`;
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    const refusal = this.#refusal(model);
    if (refusal) return refusal;
    this.#models.add(model);
    const answer = yield { model, objective };
    this.#answers.set(key, answer);
    return answer;
  }

  #refusal(model: string): RowProblem | undefined {
    if (model.length > MAX_MODEL_CHARACTERS) {
      const message = `The model '${shown(model)}' does not exist: no name is longer than ${MAX_MODEL_CHARACTERS} characters.`;
      return problem('model_not_found', message, 'body.model');
    }
    if (!this.#models.has(model) && this.#models.size >= this.#maxModels) return this.#tooManyModels(model);
    if (this.#answers.size < MAX_ROUTES) return undefined;
    const message = `The rows above name ${MAX_ROUTES} pairs of model and objective (the limit); use fewer objectives.`;
    return problem('invalid_value', message, 'pilotlight.objective');
  }

  #tooManyModels(model: string): RowProblem {
    const [first = ''] = this.#models;
    const before = this.#maxModels === 1 ? `'${shown(first)}'` : `${this.#maxModels} others`;
    const limit = this.#maxModels === 1 ? 'one model' : `${this.#maxModels} models (the limit)`;
    const message = `All rows of a file must use ${limit}: this row names '${shown(model)}', the rows above ${before}.`;
    return problem('mismatched_model', message, 'body.model');
  }
}
