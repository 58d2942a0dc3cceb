import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { answerId } from '../policy/answers.ts';
import { type ApiError, badRequest, serverError, unavailable } from '../policy/api-error.ts';
import { type CallFault, takeCallFault } from '../policy/faults.ts';
import { parseJsonObject } from '../policy/parse-fields.ts';
import {
  type InferenceKind,
  type InferenceRequest,
  parseInferenceRequest,
  type ServedModels,
} from '../policy/parse-request.ts';
import { inferenceRefusal } from '../policy/phases.ts';
import { planCall } from '../policy/plan-call.ts';
import type { SimState } from '../sim-state.ts';
import type { BodyReader } from './read-body.ts';
import { type Reply, type ReplySource, sendError } from './reply.ts';
import { ResponseReply } from './response-reply.ts';
import { StreamReply } from './stream-reply.ts';
import { WholeReply } from './whole-reply.ts';

/** Serves the inference endpoints. */
export class InferenceHandler {
  readonly #sim: SimState;
  readonly #bodies: BodyReader;
  readonly #served: ServedModels;

  constructor(sim: SimState, bodies: BodyReader) {
    const { models, maxModelTokens, embeddingDimensions } = sim.options;
    this.#sim = sim;
    this.#bodies = bodies;
    this.#served = {
      baseModels: models,
      maxModelTokens,
      embeddingDimensions,
      hasAdapter: (name) => sim.adapters.has(name),
    };
  }

  async handle(kind: InferenceKind, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const checked = await this.#read(kind, request);
    if (checked === null) return;
    if ('status' in checked) {
      sendError(response, checked);
      return;
    }
    const { fault, left } = takeCallFault(this.#sim.faults);
    this.#sim.faults = left;
    if (fault?.kind === 'hang' || this.#sim.faults.hang !== 'none') this.#sim.calls.hang(response);
    else if (fault?.kind === 'status')
      sendError(response, serverError('A fault told the simulator to refuse this call.', fault.status));
    else this.#run(checked, fault, request, response);
  }

  /** The checked request, a refusal, or null when the caller has gone. */
  async #read(kind: InferenceKind, request: IncomingMessage): Promise<InferenceRequest | ApiError | null> {
    const body = await this.#bodies.read(request);
    if (body === null) return null;
    if (!body.ok) return body.error;
    const refusal = inferenceRefusal(this.#sim.phase);
    if (refusal !== null) return serverError(refusal.message, refusal.status);
    const mediaType = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
    if (mediaType !== 'application/json') return badRequest('Content-Type must be application/json.');
    const json = parseJsonObject(body.value);
    if (!json.ok) return json.error;
    const checked = parseInferenceRequest(kind, json.value, this.#served);
    return checked.ok ? checked.value : checked.error;
  }

  #run(checked: InferenceRequest, fault: CallFault | null, request: IncomingMessage, response: ServerResponse): void {
    const plan = planCall(checked, this.#sim.options);
    const sequences = this.#sim.loop.submit(plan.sequences);
    if (sequences === null) {
      const limit = this.#sim.options.maxQueuedRequests;
      sendError(
        response,
        unavailable(`${limit} requests wait or run already (--max-num-queued-reqs); try again later.`),
      );
      return;
    }
    const source: ReplySource = { response, request: checked, plan, sequences, head: this.#head(checked, request) };
    this.#sim.calls.open({ ...source, reply: replyFor(source), fault });
  }

  #head(checked: InferenceRequest, request: IncomingMessage) {
    const requestId = request.headers['x-request-id'];
    return {
      id: answerId(
        checked.kind,
        typeof requestId === 'string' ? requestId : undefined,
        randomUUID().replaceAll('-', ''),
      ),
      createdEpochS: Math.floor(this.#sim.clock.epochMs() / 1_000),
      model: checked.model,
    };
  }
}

function replyFor(source: ReplySource): Reply {
  const { kind, stream } = source.request;
  if (!stream || kind === 'embedding') return new WholeReply(source);
  return kind === 'response' ? new ResponseReply(source) : new StreamReply(source, kind);
}
