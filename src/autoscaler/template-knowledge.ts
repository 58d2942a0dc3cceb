import type { BootResult } from './policy/boot-tracker.ts';
import { learnBoot, type Templates } from './policy/templates.ts';

/** What all pools know together about the templates of their replicas. */
export class TemplateKnowledge {
  #templates: Templates;
  readonly #onLearned: () => void;

  constructor(templates: Templates, onLearned: () => void) {
    this.#templates = templates;
    this.#onLearned = onLearned;
  }

  get current(): Templates {
    return this.#templates;
  }

  learn(result: BootResult, nowMs: number): void {
    this.#templates = learnBoot(this.#templates, result, nowMs);
    this.#onLearned();
  }
}
