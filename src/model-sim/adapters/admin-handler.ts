import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ListedModel, modelList } from '../policy/answers.ts';
import { type ApiError, badRequest } from '../policy/api-error.ts';
import { changeFaults, NO_FAULTS } from '../policy/faults.ts';
import { type JsonObject, parseJsonObject } from '../policy/parse-fields.ts';
import type { SimState } from '../sim-state.ts';
import type { BodyReader } from './read-body.ts';
import { sendError, sendJson } from './reply.ts';

/** Everything that is not inference: models, adapters, and the simulator's own routes under /sim. */
export class AdminHandler {
  readonly #sim: SimState;
  readonly #bodies: BodyReader;

  constructor(sim: SimState, bodies: BodyReader) {
    this.#sim = sim;
    this.#bodies = bodies;
  }

  listModels(response: ServerResponse): void {
    const { options, adapters, startedAtEpochMs } = this.#sim;
    const root = options.models[0] ?? '';
    const createdEpochS = Math.floor(startedAtEpochMs / 1_000);
    const base = options.models.map(
      (id): ListedModel => ({ id, root, parent: null, createdEpochS, maxModelTokens: options.maxModelTokens }),
    );
    const loaded = adapters.list().map(
      ({ name, path, loadedAtEpochS }): ListedModel => ({
        id: name,
        root: path,
        parent: root,
        createdEpochS: loadedAtEpochS,
        maxModelTokens: null,
      }),
    );
    sendJson(response, 200, modelList([...base, ...loaded]));
  }

  async loadAdapter(request: IncomingMessage, response: ServerResponse): Promise<void> {
    await this.#withBody(request, response, (body) => {
      const nowEpochS = Math.floor(this.#sim.clock.epochMs() / 1_000);
      const refusal = this.#sim.adapters.load(body.lora_name, body.lora_path, nowEpochS);
      if (refusal === null)
        sendText(response, `Success: the adapter "${String(body.lora_name)}" is loaded (simulated).`);
      return refusal;
    });
  }

  async unloadAdapter(request: IncomingMessage, response: ServerResponse): Promise<void> {
    await this.#withBody(request, response, (body) => {
      const refusal = this.#sim.adapters.unload(body.lora_name);
      if (refusal === null)
        sendText(response, `Success: the adapter "${String(body.lora_name)}" is unloaded (simulated).`);
      return refusal;
    });
  }

  /** Besides the fields of `Faults`, which stay, it takes the two that happen at once: crash (exit code), killEngine. */
  async changeFaults(request: IncomingMessage, response: ServerResponse): Promise<void> {
    await this.#withBody(request, response, (body) => {
      const { crash, killEngine, ...change } = body;
      const exitCode = crash ?? null;
      if (exitCode !== null && !isExitCode(exitCode))
        return badRequest('crash must be an exit code from 0 to 255.', 'crash');
      const faults = changeFaults(this.#sim.faults, change);
      if (!faults.ok) return faults.error;
      this.#sim.faults = faults.value;
      this.#sim.engine.slowFactor = faults.value.slowFactor;
      sendJson(response, 200, JSON.stringify(faults.value));
      if (exitCode !== null) response.on('finish', () => this.#sim.crash(exitCode));
      if (killEngine === true) this.#sim.killEngine();
      return null;
    });
  }

  clearFaults(response: ServerResponse): void {
    this.#sim.faults = NO_FAULTS;
    this.#sim.engine.slowFactor = NO_FAULTS.slowFactor;
    sendJson(response, 200, JSON.stringify(NO_FAULTS));
  }

  showState(response: ServerResponse): void {
    const { engine, calls, phase, faults, adapters } = this.#sim;
    const state = {
      simulator: true,
      phase,
      openCalls: calls.size,
      hangingCalls: calls.hanging,
      runningSequences: engine.runningSequences,
      waitingSequences: engine.waitingSequences,
      kvBlocks: { total: engine.kv.totalBlocks, used: engine.kv.usedBlocks, cached: engine.kv.cachedBlocks },
      adapters: adapters.list().map(({ name }) => name),
      counters: engine.counters,
      faults,
    };
    sendJson(response, 200, JSON.stringify(state));
  }

  async #withBody(
    request: IncomingMessage,
    response: ServerResponse,
    act: (body: JsonObject) => ApiError | null,
  ): Promise<void> {
    const body = await this.#bodies.read(request);
    if (body === null) return;
    const json = body.ok ? parseJsonObject(body.value) : body;
    const refusal = json.ok ? act(json.value) : json.error;
    if (refusal !== null) sendError(response, refusal);
  }
}

function isExitCode(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 255;
}

function sendText(response: ServerResponse, text: string): void {
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(text);
}
