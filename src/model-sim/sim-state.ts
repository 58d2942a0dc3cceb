import type { Clock } from '../core/clock.ts';
import type { EngineLoop } from './adapters/engine-loop.ts';
import type { OpenCalls } from './adapters/open-calls.ts';
import type { ModelSimOptions } from './options.ts';
import type { AdapterRegistry } from './policy/adapter-registry.ts';
import type { Engine } from './policy/engine.ts';
import type { Faults } from './policy/faults.ts';
import type { Phase } from './policy/phases.ts';
import type { VllmMetrics } from './policy/vllm-metrics.ts';

/** What the HTTP handlers of one simulator share. */
export interface SimState {
  readonly options: ModelSimOptions;
  readonly clock: Clock;
  readonly engine: Engine;
  readonly loop: EngineLoop;
  readonly metrics: VllmMetrics;
  readonly adapters: AdapterRegistry;
  readonly calls: OpenCalls;
  readonly startedAtEpochMs: number;
  phase: Phase;
  faults: Faults;
  /** Ends the process with this code, cutting every connection. */
  crash(exitCode: number): void;
  /** The engine dies: open calls fail, /health turns 503, the process ends soon. */
  killEngine(): void;
}
